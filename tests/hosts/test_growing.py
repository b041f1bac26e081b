"""A host that joins two others while records flow, and leaves again; or is cut off meanwhile."""

import signal
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Sender,
    check_output,
    newest_manifest,
    output_of,
    wait_checkpoints,
)
from tests.cluster.harness import Cluster, wait_until
from tests.hosts.namespaces import hosts, why_not
from tests.hosts.sites import FarSender, PlainFarSender, Site

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "possible"),
]

LOSS_PERCENT = 2
TWO = ("--workers", "1", "--expect-workers", "1")
SOME = 1000


def members(cluster: Cluster) -> list[str]:
    return [worker["name"] for worker in cluster.ready().get("workers", [])]


def leave(agent: Cluster) -> None:
    """Ask for the host back, and get it."""
    agent.signal(signal.SIGINT)
    assert agent.wait_end() == 0, agent.errors


@pytest.mark.parametrize("is_durable", [True, False], ids=["durable", "plain"])
def test_a_third_host_joins_two_and_leaves_them_under_load(
    tmp_path: Path, *, is_durable: bool
) -> None:
    with hosts("alpha", "beta", "gamma") as [alpha, beta, gamma]:
        for host in (alpha, beta, gamma):
            host.lose(LOSS_PERCENT)
        site = Site(tmp_path, [alpha, beta, gamma], is_durable=is_durable)
        kind = FarSender if is_durable else PlainFarSender
        with site.initializer(alpha, *TWO) as cluster, site.agent(beta, "beta") as at_beta:
            cluster.wait_ready()
            steady = kind(site.deployment, alpha, beta).start()
            steady.wait_sent(SOME)
            with site.agent(gamma, "gamma") as at_gamma:
                cluster.wait_event("cluster.resized")
                assert members(cluster) == ["w1", "beta", "gamma"]
                late = kind(site.deployment, beta, gamma, "late").start()
                late.wait_sent(SOME)
                sent = late.stop()
                steady.wait_sent(SOME)
                leave(at_gamma)
            assert cluster.wait_event("worker.left")["worker"] == "gamma"
            assert members(cluster) == ["w1", "beta"]
            steady.wait_sent(SOME)
            sent |= steady.stop()
            if is_durable:
                wait_checkpoints(site.deployment.store)
            assert cluster.stop() == 0
            assert at_beta.wait_end() == 0
            assert cluster.events("worker.lost") == []
    if is_durable:
        site.deployment.check(sent)
        # The successor reaches the folder of the journals, which hosts share here.
        left = [path.name for path in site.deployment.journals.glob("gamma-*")]
        assert left == []
    else:
        check_output(site.deployment.sent, output_of(sent))


def test_what_a_host_leaves_behind_on_its_own_disk_is_not_read_again(tmp_path: Path) -> None:
    with hosts("alpha", "beta", "gamma") as [alpha, beta, gamma]:
        site = Site(tmp_path, [alpha, beta, gamma])
        own = tmp_path / "of-gamma"
        its = ["--journal-dir", str(own)]
        with site.initializer(alpha, *TWO) as cluster, site.agent(beta, "beta"):
            cluster.wait_ready()
            with site.agent(gamma, "gamma", *its) as at_gamma:
                cluster.wait_event("cluster.resized")
                late = FarSender(site.deployment, beta, gamma, "late", own).start()
                late.wait_sent(SOME)
                sent = late.stop()
                leave(at_gamma)
            # No checkpoint that is kept needs what it left.
            wait_checkpoints(site.deployment.store, 5)
            steady = FarSender(site.deployment, alpha, beta).start()
            steady.wait_sent(SOME)
            sent |= steady.stop()
            wait_checkpoints(site.deployment.store)
            assert cluster.stop() == 0
        assert [path.name for path in own.glob("gamma-*")] != []
        three = ["--workers", "1", "--expect-workers", "2"]
        with (
            site.initializer(alpha, *three) as cluster,
            site.agent(beta, "beta"),
            site.agent(gamma, "gamma", *its),
        ):
            cluster.wait_ready()
            wait_checkpoints(site.deployment.store)
            assert cluster.stop() == 0
    site.deployment.check(sent)


@pytest.mark.parametrize("moment", ["cluster.resizing", "worker.joined"])
def test_a_host_that_is_cut_off_while_it_joins_is_a_member_or_never_was(
    tmp_path: Path, moment: str
) -> None:
    with hosts("alpha", "beta", "gamma") as [alpha, beta, gamma]:
        site = Site(tmp_path, [alpha, beta, gamma])
        with (
            site.initializer(alpha, *TWO, "--worker-timeout", "2") as cluster,
            site.agent(beta, "beta"),
        ):
            cluster.wait_ready()
            steady = FarSender(site.deployment, alpha, beta).start()
            steady.wait_sent(SOME)
            count = len(cluster.events(moment)) + 1
            with site.agent(gamma, "gamma") as at_gamma:
                cluster.wait_event(moment, count)
                gamma.cut()
                # Whose silence is noticed first, the host's or that of its worker, nobody can say.
                wait_until("it is noticed", lambda: is_noticed(cluster))
                # It has noticed by itself, and its worker has ended.
                assert at_gamma.wait_end() == 3
            gamma.heal()
            wait_until("it is decided", lambda: is_decided(cluster))
            if cluster.events("cluster.resize_aborted"):
                expected = ["w1", "beta"]
                finish(site, cluster, steady)
            else:
                expected = ["w1", "beta", "gamma"]
                with site.agent(gamma, "gamma"):
                    finish(site, cluster, steady)
    assert newest_manifest(site.deployment.store).members == expected


def is_noticed(cluster: Cluster) -> bool:
    """Return whether the loss of gamma is known."""
    return bool(cluster.events("host.lost") or cluster.events("cluster.resize_aborted"))


def is_decided(cluster: Cluster) -> bool:
    """Whether the request was called off, or a member was lost that gamma is."""
    return bool(cluster.events("cluster.resize_aborted") or cluster.events("worker.lost"))


def finish(site: Site, cluster: Cluster, sender: Sender) -> None:
    """Go on for a while, then stop; everything is counted once."""
    sender.wait_sent(SOME)
    sent = sender.stop()
    wait_checkpoints(site.deployment.store)
    assert cluster.stop() == 0
    site.deployment.check(sent)
