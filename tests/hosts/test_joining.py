"""Workers that come from elsewhere: agents that join an initializer, here all on one host."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cluster.durable import Deployment, wait_checkpoints
from tests.cluster.harness import (
    Cluster,
    Receiver,
    framed,
    free_port,
    free_ports,
    is_gone,
    running,
    send_bytes,
    wait_until,
)
from tests.cluster.test_loss import KEYS, ROUND
from tests.hosts.sites import make_certificates, tls_options, write_secret
from wallaroo_cli.certificates import read_authority, write_certificate
from wallaroo_cli.cluster import main as cluster_command
from wallaroo_workers.storage.journal_files import JournalWriter, cut_journal

pytestmark = pytest.mark.cluster


class Site:
    """A folder with the tally application, a secret, and addresses for one cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receiver = Receiver()
        control_port, self.source_port = free_ports(2)
        self.control = f"127.0.0.1:{control_port}"
        self.secret = write_secret(folder)
        self.arguments = ["--in", f"127.0.0.1:{self.source_port}", "--out", self.receiver.address]

    def initializer(self, *options: str) -> contextlib.AbstractContextManager[Cluster]:
        own = ["--control", self.control, "--secret-file", str(self.secret)]
        return running(self.folder, "tally", *self.arguments, *own, *options)

    def agent(self, name: str, *options: str) -> contextlib.AbstractContextManager[Cluster]:
        """Run an agent; without a name it accepts any."""
        named = ["--name", name] if name else []
        own = ["--join", self.control, *named, "--secret-file", str(self.secret)]
        return running(self.folder, "tally", *self.arguments, *own, *options)

    def wait_rounds(self, count: int) -> None:
        goal = count * len(KEYS)
        wait_until(f"{goal} results", lambda: self.receiver.line_count() >= goal)


def probed(address: str) -> int:
    """Return the status that a probe gets."""
    connection = HTTPConnection(address, timeout=10)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.receiver.close()


def test_an_initializer_waits_for_its_workers_from_elsewhere(site: Site) -> None:
    health = f"127.0.0.1:{free_port()}"
    options = ["--workers", "0", "--expect-workers", "2", "--health", health]
    with site.initializer(*options) as cluster:
        waiting = cluster.wait_event("hosts.waiting")
        assert waiting["missing"] == 2
        assert probed(health) == HTTPStatus.SERVICE_UNAVAILABLE
        asked = ["status", "--cluster", site.control, "--secret-file", str(site.secret)]
        told = CliRunner().invoke(cluster_command, asked)
        assert told.exit_code == 1
        assert "it waits for hosts to join; missing: 2\nhint: start them with" in told.stderr
        with site.agent("a1") as first, site.agent("a2") as second:
            ready = cluster.wait_ready()
            assert {worker["name"] for worker in ready["workers"]} == {"a1", "a2"}
            wait_until("probes hear of it", lambda: probed(health) == HTTPStatus.OK)
            send_bytes(site.source_port, ROUND * 3)
            site.wait_rounds(3)
            assert cluster.stop() == 0
            assert cluster.events("cluster.drained")[0]["record_count"] == 3 * len(KEYS)
            assert (first.wait_end(), second.wait_end()) == (0, 0)
        assert len(cluster.events("host.connected")) == 2


def test_a_worker_elsewhere_is_started_again_through_its_agent(site: Site) -> None:
    options = ["--workers", "1", "--expect-workers", "1"]
    with site.initializer(*options) as cluster, site.agent("far") as agent:
        cluster.wait_ready()
        os.kill(cluster.pid("far"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        send_bytes(site.source_port, ROUND)
        site.wait_rounds(1)
        assert cluster.stop() == 0
        assert agent.wait_end() == 0
        assert "SIGKILL" in cluster.events("worker.lost")[0]["reason"]


def test_an_agent_that_loses_its_initializer_leaves_no_worker_and_ends_with_status_3(
    site: Site,
) -> None:
    options = ["--workers", "0", "--expect-workers", "1"]
    with site.initializer(*options) as cluster, site.agent("far") as agent:
        cluster.wait_ready()
        worker = cluster.pid("far")
        cluster.signal(signal.SIGKILL)
        assert agent.wait_end() == 3
        assert is_gone(worker)
        told = [line["process"] for line in agent.events("initializer.lost")]
        assert told.count("agent of far") == 1


def test_a_host_that_is_lost_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    control = f"127.0.0.1:{free_port()}"
    secret = ["--secret-file", str(write_secret(tmp_path))]
    join = [*deployment.options, "--join", control, *secret]
    own = ["--control", control, "--expect-workers", "1", *secret]
    with (
        deployment.running(*own, workers=2) as cluster,
        running(tmp_path, "counts", *join, "--name", "far") as agent,
    ):
        cluster.wait_ready()
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        worker = cluster.pid("far")
        agent.signal(signal.SIGKILL)
        cluster.wait_event("host.lost")
        wait_until("its worker has ended", lambda: is_gone(worker))
        with running(tmp_path, "counts", *join, "--name", "far") as other:
            cluster.wait_ready(epoch=2)
            sender.wait_sent(1_000)
            sent = sender.stop()
            assert cluster.stop() == 0
            assert other.wait_end() == 0
    deployment.check(sent)


def test_a_run_ends_in_order_when_the_host_of_a_worker_stays_away(site: Site) -> None:
    options = ["--workers", "1", "--expect-workers", "1", "--agent-timeout", "1"]
    with site.initializer(*options) as cluster:
        with site.agent("far"):
            cluster.wait_ready()
        assert cluster.wait_end() == 1
        assert any("no host has offered to run worker far for 1 s" in e for e in cluster.errors)


def test_an_agent_finds_the_initializer_again_that_is_started_anew(site: Site) -> None:
    options = ["--workers", "0", "--expect-workers", "1"]
    probes = f"127.0.0.1:{free_port()}"
    with site.agent("far", "--rejoin", "30", "--health", probes) as agent:
        with site.initializer(*options) as cluster:
            cluster.wait_ready()
            assert probed(probes) == HTTPStatus.OK
            cluster.signal(signal.SIGKILL)
            cluster.wait_end()
        agent.wait_event("initializer.lost")
        assert probed(probes) == HTTPStatus.SERVICE_UNAVAILABLE
        with site.initializer(*options) as cluster:
            cluster.wait_ready()
            assert cluster.stop() == 0
        assert agent.wait_end() == 0


def test_an_agent_waits_for_the_next_run_if_one_has_failed(site: Site) -> None:
    options = ["--workers", "0", "--agent-timeout", "1"]
    with site.agent("far", "--rejoin", "60") as agent:
        with site.initializer(*options, "--expect-workers", "2") as cluster:
            with site.agent("gone"):
                cluster.wait_ready()
            assert cluster.wait_end() == 1
        with site.initializer(*options, "--expect-workers", "1") as cluster:
            cluster.wait_ready()
            assert cluster.stop() == 0
        assert agent.wait_end() == 0


def test_ctrl_c_while_hosts_are_awaited_ends_the_start(site: Site) -> None:
    with site.initializer("--workers", "0", "--expect-workers", "2") as cluster:
        cluster.wait_event("hosts.waiting")
        with site.agent("a1") as agent:
            cluster.wait_event("host.connected")
            assert cluster.stop() == 0
            assert agent.wait_end() == 0


def test_another_plan_is_refused_and_both_say_which_step_differs(site: Site) -> None:
    with site.initializer("--workers", "0", "--expect-workers", "1") as cluster:
        cluster.wait_event("hosts.waiting")
        options = ["--join", site.control, "--name", "far", "--secret-file", str(site.secret)]
        other = [*site.arguments, "--step", "another count"]
        with running(site.folder, "tally", *other, *options) as agent:
            assert agent.wait_end() == 1
            assert any("another count" in error for error in agent.errors)
        assert "another count" in cluster.wait_event("host.rejected")["reason"]
        with site.agent("bad/name") as agent:
            assert agent.wait_end() == 1
        with site.agent("far") as first:
            first.wait_event("host.accepted")
            with site.agent("far") as second:
                assert second.wait_end() == 1
            assert any("is taken" in error for error in second.errors)


def test_an_agent_with_another_secret_or_certificate_is_refused_with_one_line(site: Site) -> None:
    mine = make_certificates(site.folder / "mine", "here", "far")
    write_certificate(mine, "late", read_authority(mine), timedelta(minutes=-30))
    others = make_certificates(site.folder / "others", "far")
    shutil.copy(mine / "ca.pem", others / "ca.pem")
    expected = ["--workers", "0", "--expect-workers", "1"]
    refused: list[str] = []

    def check(options: list[str], at_agent: str, at_initializer: str) -> None:
        with site.agent("far", *options) as agent:
            assert agent.wait_end() == 1
            assert any(at_agent in error for error in agent.errors), agent.errors
        refused.append(at_initializer)
        cluster.wait_event("control.rejected", len(refused))
        reasons = [line["reason"] for line in cluster.events("control.rejected")]
        assert reasons == refused

    with site.initializer(*expected, *tls_options(mine, "here")) as cluster:
        cluster.wait_event("hosts.waiting")
        check([], "the peer speaks TLS, and this side does not", "the peer does not speak TLS")
        check(
            tls_options(others, "far"),
            "rejects our certificate: unknown ca",
            "the peer's certificate is rejected: unable to get local issuer certificate",
        )
        check(
            tls_options(mine, "late"),
            "rejects our certificate: certificate expired",
            "the peer's certificate is rejected: certificate has expired",
        )
        site.secret = write_secret(site.folder, "quite another secret")
        check(
            tls_options(mine, "far"),
            "does not know this cluster's secret",
            "the peer closed the connection",
        )


def test_ctrl_c_at_a_host_that_the_cluster_needs_stops_the_cluster_in_order(site: Site) -> None:
    options = ["--workers", "0", "--expect-workers", "1"]
    with site.initializer(*options) as cluster, site.agent("far") as agent:
        cluster.wait_ready()
        send_bytes(site.source_port, ROUND)
        site.wait_rounds(1)
        assert agent.stop() == 0
        assert cluster.wait_end() == 0
        assert cluster.events("cluster.drained")[0]["record_count"] == len(KEYS)


def test_a_host_with_journals_that_a_running_cluster_does_not_know_is_refused(
    tmp_path: Path,
) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    control = f"127.0.0.1:{free_port()}"
    secret = ["--secret-file", str(write_secret(tmp_path))]
    journals = tmp_path / "of-far"
    writer = JournalWriter(journals, "far", 7, "os")
    join = [*deployment.options, "--join", control, *secret, "--journal-dir", str(journals)]
    with deployment.running("--control", control, *secret, workers=1) as cluster:
        cluster.wait_ready()
        writer.append(0, 1, framed(b"late.0 0"))
        writer.close()
        with running(tmp_path, "counts", *join, "--name", "far") as agent:
            assert agent.wait_end() == 1
            said = "the initializer refuses us: its folder of journals has records of epoch 7"
            assert any(said in error for error in agent.errors)
        cut_journal(journals, writer.name, None)
        # One that was made and never written to stands in nobody's way.
        JournalWriter(journals, "other", 7, "os").close()
        with running(tmp_path, "counts", *join, "--name", "far") as agent:
            cluster.wait_event("cluster.resized")
            assert agent.stop() == 0
        # Its name comes back once two checkpoints are taken.
        with running(tmp_path, "counts", *join, "--name", "far") as agent:
            cluster.wait_event("cluster.resized", 3)
            assert agent.stop() == 0
        assert cluster.stop() == 0


def test_what_an_agent_binds_is_what_the_others_dial(site: Site) -> None:
    options = ["--workers", "1", "--expect-workers", "1"]
    with site.initializer(*options) as cluster, site.agent("far", "--bind", "127.0.0.2"):
        cluster.wait_ready()
        send_bytes(site.source_port, ROUND)
        site.wait_rounds(1)
        assert cluster.stop() == 0


def test_an_address_that_leads_nowhere_is_named(site: Site) -> None:
    options = ["--workers", "1", "--expect-workers", "1"]
    wrong = ["--bind", "127.0.0.2", "--advertise", "127.0.0.3"]
    with site.initializer(*options) as cluster, site.agent("far", *wrong):
        line = cluster.wait_event("link.waiting")
        assert (line["process"], line["peer"]) == ("w1", "far")
        assert line["address"].startswith("127.0.0.3:")


def test_a_host_that_stands_by_takes_the_place_of_a_lost_one(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    control = f"127.0.0.1:{free_port()}"
    secret = ["--secret-file", str(write_secret(tmp_path))]
    join = [*deployment.options, "--join", control, *secret]
    own = ["--control", control, "--expect-workers", "2", *secret]
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(deployment.running(*own, workers=0))
        agents = [
            stack.enter_context(running(tmp_path, "counts", *join, "--zone", zone))
            for zone in ("here", "there")
        ]
        ready = cluster.wait_ready()
        assert {worker["name"] for worker in ready["workers"]} == {"w1", "w2"}
        spare = stack.enter_context(running(tmp_path, "counts", *join))
        cluster.wait_event("host.reserved")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        agents[0].signal(signal.SIGKILL)
        lost = cluster.wait_event("host.lost")["worker"]
        ready = cluster.wait_ready(epoch=2)
        assert {worker["name"] for worker in ready["workers"]} == {"w1", "w2"}
        assert cluster.wait_event("host.assigned", 3)["worker"] == lost
        sender.wait_sent(1_000)
        sent = sender.stop()
        assert cluster.stop() == 0
        assert (spare.wait_end(), agents[1].wait_end()) == (0, 0)
    deployment.check(sent)


def test_a_cluster_of_hosts_grows_onto_a_host_that_stands_by(site: Site) -> None:
    options = ["--workers", "0", "--expect-workers", "1"]
    with site.initializer(*options) as cluster, site.agent("") as first:
        cluster.wait_ready()
        with site.agent("") as spare:
            cluster.wait_event("host.reserved")
            asked = ["grow", "--cluster", site.control, "--secret-file", str(site.secret)]
            grown = CliRunner().invoke(cluster_command, asked)
            assert grown.exit_code == 0, grown.output
            assert cluster.wait_event("cluster.resized")["workers"] == "w1, w2"
            # This ends its own worker, and the cluster shrinks.
            assert spare.stop() == 0
        cluster.wait_event("cluster.resized", 2)
        assert cluster.stop() == 0
        assert first.wait_end() == 0


def test_a_cluster_may_grow_with_each_host_that_joins(site: Site) -> None:
    options = ["--workers", "1", "--expect-workers", "1", "--grow-with-hosts"]
    with site.initializer(*options) as cluster, site.agent("") as first:
        cluster.wait_ready()
        with site.agent("") as second:
            assert cluster.wait_event("cluster.resized")["workers"] == "w1, w2, w3"
            assert second.stop() == 0
        assert cluster.stop() == 0
        assert first.wait_end() == 0
