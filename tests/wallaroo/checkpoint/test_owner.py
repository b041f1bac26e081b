"""What an owner writes, and what is known of it: a live owner is respected, a dead one is not."""

from dataclasses import replace

import pytest

from wallaroo.checkpoint.owner import (
    Evidence,
    Owner,
    Verdict,
    decode_owner,
    encode_owner,
    verdict,
)
from wallaroo.errors import DamagedFileError

ME = Owner(
    token="mine",
    host="alpha",
    machine="a1",
    boot="b1",
    pid=1,
    started_ticks=900,
    pid_space="pid:[7]",
    net_space="net:[7]",
    application="letters",
    since_unix_s=1_000_000_000.0,
)
BEFORE = replace(ME, token="before", started_ticks=100)
OTHER_CONTAINER = replace(BEFORE, host="c0ffee", machine="", pid_space="pid:[8]")
OTHER_NETWORK = replace(OTHER_CONTAINER, net_space="net:[8]")
OTHER_HOST = replace(BEFORE, host="beta", machine="a2", boot="b2")


@pytest.mark.parametrize(
    ("owner", "evidence", "expected"),
    [
        pytest.param(BEFORE, Evidence(process_lives=True), Verdict.LIVES, id="runs here"),
        pytest.param(BEFORE, Evidence(process_lives=False), Verdict.DEAD, id="ran here"),
        pytest.param(BEFORE, Evidence(), Verdict.UNKNOWN, id="nothing to be seen"),
        pytest.param(
            OTHER_CONTAINER,
            Evidence(process_lives=False, beacon_is_lit=True),
            Verdict.LIVES,
            id="its process id says nothing in another container",
        ),
        pytest.param(
            OTHER_CONTAINER,
            Evidence(process_lives=True, beacon_is_lit=False),
            Verdict.DEAD,
            id="a container restarted in its pod",
        ),
        pytest.param(
            OTHER_NETWORK,
            Evidence(process_lives=False, beacon_is_lit=False),
            Verdict.UNKNOWN,
            id="another container that cannot be seen",
        ),
        pytest.param(
            replace(OTHER_NETWORK, has_lock=True),
            Evidence(beacon_is_lit=False, has_lock=True),
            Verdict.DEAD,
            id="another container that lost its lock",
        ),
        pytest.param(
            OTHER_NETWORK,
            Evidence(beacon_is_lit=False, has_lock=True),
            Verdict.UNKNOWN,
            id="another container that never had the lock",
        ),
        pytest.param(
            replace(OTHER_NETWORK, host="alpha"),
            Evidence(process_lives=True),
            Verdict.DEAD,
            id="our container, restarted",
        ),
        pytest.param(
            replace(BEFORE, boot="b0"),
            Evidence(process_lives=True),
            Verdict.DEAD,
            id="before this machine was started again",
        ),
        pytest.param(OTHER_HOST, Evidence(False, False, True), Verdict.UNKNOWN, id="another host"),
        pytest.param(
            replace(OTHER_HOST, host="alpha"),
            Evidence(False, False),
            Verdict.UNKNOWN,
            id="another host of our name",
        ),
        pytest.param(
            OTHER_HOST, Evidence(has_lock=False), Verdict.LIVES, id="another host has the lock"
        ),
        pytest.param(
            replace(BEFORE, boot="", pid_space="", net_space=""),
            Evidence(process_lives=False),
            Verdict.UNKNOWN,
            id="a system that says nothing of itself",
        ),
    ],
)
def test_what_the_evidence_says(owner: Owner, evidence: Evidence, expected: Verdict) -> None:
    assert verdict(owner, ME, evidence) is expected


def test_a_boot_that_is_not_known_equals_no_other() -> None:
    me, owner = (replace(each, boot="", machine="") for each in (ME, BEFORE))
    assert verdict(owner, me, Evidence(process_lives=False)) is Verdict.UNKNOWN


def test_an_owner_is_read_as_it_was_written() -> None:
    owner = replace(BEFORE, has_lock=True, application="caf\xe9 \udcff")
    assert decode_owner(encode_owner(owner), "owner/1") == owner
    assert "process 1 on host alpha (application caf" in owner.describe()
    assert "since 2001-09-09 01:46:40 UTC" in owner.describe()


def test_anything_else_is_damage_that_names_the_file() -> None:
    data = encode_owner(BEFORE)
    flipped = bytearray(data)
    flipped[-3] ^= 1
    for damaged in (b"", b"{}", data[:-1], data[:10], bytes(flipped), data + data[10:]):
        with pytest.raises(DamagedFileError, match="owner/1"):
            decode_owner(damaged, "owner/1")
