"""Which hosts a cluster starts on, and which ones it waits for."""

from collections.abc import Sequence

import pytest

from wallaroo.coordinator.starting_hosts import choose_hosts
from wallaroo.names import WorkerName
from wallaroo.wire.agents import Offer
from wallaroo.wire.requests import NO_EPOCH


def offers_of(*names: str) -> list[Offer]:
    """Return the offers of hosts with these names; an empty name accepts any."""
    return [
        Offer(NO_EPOCH, WorkerName(name), "far", str(number), [], 1, "a zone")
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("present", "needed", "chosen", "missing", "absent"),
    [
        ("abc", "", "abc", 0, ""),
        ("abcd", "", "abc", 0, ""),
        ("ab", "", "ab", 1, ""),
        ("ab", "ab", "ab", 1, ""),
        # The cluster had grown: the first three hosts are not enough.
        ("abc", "abcde", "abc", 2, "de"),
        ("abce", "abcde", "abce", 1, "d"),
        ("abced", "abcde", "abced", 0, ""),
        # A host whose input nobody needs leaves its place to one whose input is needed.
        ("abcx", "x", "abx", 0, ""),
        ("abc", "x", "abc", 1, "x"),
    ],
)
def test_a_start_takes_the_hosts_with_needed_input_even_if_these_are_more(
    present: str, needed: str, chosen: str, missing: int, absent: str
) -> None:
    found = choose_hosts(offers_of(*present), 3, (), [*map(WorkerName, needed)])
    assert "".join(offer.name for offer in found.offers) == chosen
    assert (found.missing, "".join(found.needed)) == (missing, absent)


@pytest.mark.parametrize(
    ("present", "count", "missing"),
    [
        (["", "", ""], 3, 2),
        (["", "", "", "", ""], 5, 0),
        (["a", "", "", ""], 4, 1),
        (["a", "b", "c", "d", "", ""], 5, 0),
    ],
)
def test_a_host_that_accepts_any_name_can_have_needed_input(
    present: Sequence[str], count: int, missing: int
) -> None:
    found = choose_hosts(offers_of(*present), 3, (), [*map(WorkerName, "abcde")])
    assert (len(found.offers), found.missing) == (count, missing)


def test_a_start_that_expects_names_also_takes_those_whose_input_is_needed() -> None:
    needed = [WorkerName("c")]
    found = choose_hosts(offers_of("a", "x", "", "c"), 2, ("a", "b"), needed)
    assert ([offer.name for offer in found.offers], found.missing) == (["a", "c"], 1)
    found = choose_hosts(offers_of("a", "x", "c", "b"), 2, ("a", "b"), needed)
    assert ([offer.name for offer in found.offers], found.missing) == (["a", "c", "b"], 0)
