"""The commands' ways to a Ray that runs already: its client, detached runs, and autoscaling."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed; `make ray-test` has it")

from tests.cluster.durable import Deployment, wait_checkpoints
from tests.cluster.harness import wait_until
from tests.ray.runs import Nodes, RayRun, command_lines, running

pytestmark = [pytest.mark.ray, pytest.mark.cluster, pytest.mark.timeout(500)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    made.add(3)
    yield made
    made.close()


def options_of(deployment: Deployment) -> list[str]:
    """Return the options of a deployment, none of whose paths are relative."""
    options = [*deployment.options, "--hosts", "2"]
    # The working folders of nodes are Ray's.
    options[options.index("--sent") + 1] = str(deployment.sent)
    return options


def worker_count(run: RayRun) -> int:
    return len(run.status()["workers"])


def test_a_detached_run_outlives_its_command(nodes: Nodes, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    options = [*options_of(deployment), "--detach"]
    with running(tmp_path, "ray", *options, address=nodes.address) as run:
        assert run.wait_end() == 0
        assert run.events("run.detached")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        sender.wait_sent(1_000)
        assert worker_count(run) == 2
        sent = sender.stop()
        run.ask("stop")
    wait_until("all agents end", lambda: not command_lines("--join", str(tmp_path)))
    deployment.check(sent)


def test_commands_reach_a_ray_through_its_client(nodes: Nodes, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    with running(tmp_path, nodes.client, *options_of(deployment)) as run:
        run.wait_event("application.ready")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        sender.wait_sent(1_000)
        assert worker_count(run) == 2
        sent = sender.stop()
        assert run.stop() == 0
    deployment.check(sent)


def test_a_cluster_with_fewer_workers_than_it_may_have_grows(nodes: Nodes, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    options = [*options_of(deployment), "--autoscale", "2:3"]
    with running(tmp_path, "ray", *options, address=nodes.address) as run:
        run.wait_event("application.ready")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        run.ask("shrink", "--workers", "1")
        run.wait_event("cluster.scaled")
        wait_until("it has grown", lambda: worker_count(run) == 2, 60)
        sender.wait_sent(1_000)
        sent = sender.stop()
        assert run.stop() == 0
    deployment.check(sent)
