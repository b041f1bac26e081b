"""Three hosts with addresses of their own, over links that lose packets, break, and come back."""

import threading
from pathlib import Path

import pytest

from tests.cluster.durable import wait_checkpoints
from tests.hosts.namespaces import Host, hosts, why_not
from tests.hosts.sites import FarSender, Site

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "possible"),
]

LOSS_PERCENT = 5
CUT_S = 3.0


def cut_for_a_while(host: Host) -> None:
    """How long the link is away is what is tried."""
    host.cut()
    threading.Event().wait(CUT_S)
    host.heal()


def test_three_hosts_count_exactly_over_links_that_lose_packets_and_break(tmp_path: Path) -> None:
    with hosts("alpha", "beta", "gamma") as [alpha, beta, gamma]:
        for host in (alpha, beta, gamma):
            host.lose(LOSS_PERCENT)
        site = Site(tmp_path, [alpha, beta, gamma])
        expected = ["--workers", "1", "--expect-workers", "2"]
        with (
            site.initializer(alpha, *expected) as cluster,
            site.agent(beta, "beta") as at_beta,
            site.agent(gamma, "gamma") as at_gamma,
        ):
            cluster.wait_ready()
            sender = FarSender(site.deployment, alpha, beta).start()
            wait_checkpoints(site.deployment.store)
            sender.wait_sent(2_000)
            cut_for_a_while(gamma)
            wait_checkpoints(site.deployment.store, 2)
            sender.wait_sent(2_000)
            sent = sender.stop()
            assert cluster.stop() == 0
            assert (at_beta.wait_end(), at_gamma.wait_end()) == (0, 0)
            # That was a link, not a host.
            assert cluster.events("worker.lost") == []
    site.deployment.check(sent)


def test_a_host_that_is_gone_is_replaced_by_another_and_nothing_is_lost(tmp_path: Path) -> None:
    with hosts("alpha", "beta", "gamma", "delta") as [alpha, beta, gamma, delta]:
        site = Site(tmp_path, [alpha, beta, gamma, delta])
        expected = ["--workers", "0", "--expect-workers", "2", "--worker-timeout", "2"]
        with site.initializer(alpha, *expected) as cluster, site.agent(beta, "beta"):
            with site.agent(gamma, "gamma") as at_gamma:
                cluster.wait_ready()
                sender = FarSender(site.deployment, alpha, beta).start()
                wait_checkpoints(site.deployment.store)
                gamma.cut()
                lost = cluster.wait_event("host.lost")
                assert "no heartbeat" in lost["reason"]
                # It has noticed by itself, and its worker has ended.
                assert at_gamma.wait_end() == 3
            with site.agent(delta, "gamma"):
                cluster.wait_ready(epoch=2)
                sender.wait_sent(1_000)
                sent = sender.stop()
                assert cluster.stop() == 0
    site.deployment.check(sent)
