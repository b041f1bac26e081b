"""A Ray of several nodes: lost and draining nodes, nodes that come, and what is refused."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed; `make ray-test` has it")

from tests.cluster.durable import Deployment, wait_checkpoints
from tests.cluster.harness import COMMANDS, copy_application
from tests.ray.runs import ENVIRONMENT, WAIT_S, Nodes, end, running

pytestmark = [pytest.mark.ray, pytest.mark.cluster, pytest.mark.timeout(500)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    made.add(3)
    yield made
    made.close()


def refused(nodes: Nodes, folder: Path, *options: str) -> str:
    """Return why a run is refused before anything starts."""
    copy_application(folder, "counts")
    done = subprocess.run(
        [str(COMMANDS / "wallaroo-run"), "counts.py", "--on", "ray", *options],
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"RAY_ADDRESS": nodes.address},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "hint: " in done.stderr
    return done.stderr


def test_strict_spreading_over_too_few_nodes_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    job = Deployment(tmp_path, line_count=10)
    said = refused(nodes, tmp_path, *job.options, "--hosts", "4", "--spread", "strict")
    assert "only 3 of 4 nodes have 1 CPUs" in said


def test_a_module_that_nodes_lack_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    job = Deployment(tmp_path, line_count=10)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = f'{{"working_dir": "{empty}"}}'
    said = refused(nodes, tmp_path, *job.options, "--runtime-env", environment)
    assert "cannot load the application: there is no module 'counts'" in said


def test_a_node_that_falls_silent_costs_no_record(nodes: Nodes, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    options = [*deployment.options, "--hosts", "2", "--standby", "1", "--worker-timeout", "3"]
    options[deployment.options.index("--sent") + 1] = str(deployment.sent)
    with running(tmp_path, "ray", *options, address=nodes.address) as run:
        run.wait_event("application.ready")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)
        node = nodes.of_process(run.status()["workers"][0]["pid"])
        frozen = nodes.freeze(node)
        run.wait_event("application.ready_again")
        # Here all nodes have one address, and new connections may reach the silent one.
        end(frozen)
        nodes.lose(node)
        sender.wait_sent(1_000)
        assert len(run.status()["workers"]) == 2
        sent = sender.stop()
        assert run.stop() == 0
    deployment.check(sent)
    nodes.add()


def test_a_node_that_is_lost_or_drained_costs_no_record(nodes: Nodes, tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    options = [
        *(*deployment.options, "--hosts", "2", "--spread", "strict", "--worker-timeout", "3"),
        *("--standby", "1"),
    ]
    # All nodes have one address here, and their working folders are Ray's.
    sent = deployment.options.index("--sent") + 1
    options[sent] = str(deployment.sent)
    with running(tmp_path, "ray", *options, address=nodes.address) as run:
        run.wait_event("application.ready")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)

        nodes.lose(nodes.of_process(run.status()["workers"][0]["pid"]))
        run.wait_event("application.ready_again")
        sender.wait_sent(1_000)

        # One for the host in reserve, which has taken the name of the lost worker.
        nodes.add(2)
        workers = run.status()["workers"]
        assert len(workers) == 2
        nodes.drain(nodes.of_process(workers[0]["pid"]), 300)
        run.wait_event("node.draining")
        run.wait_event("host.dismissed")
        sender.wait_sent(1_000)
        assert len(run.status()["workers"]) == 2

        sent_totals = sender.stop()
        assert run.stop() == 0
    deployment.check(sent_totals)
