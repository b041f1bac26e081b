"""``--on ray:new``: a cluster on a Ray of its own, on this machine."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed; `make ray-test` has it")

from tests.cluster.durable import Deployment, wait_checkpoints
from tests.cluster.harness import is_gone, wait_until
from tests.ray.runs import command_lines, running

pytestmark = [pytest.mark.ray, pytest.mark.cluster, pytest.mark.timeout(400)]


def test_a_job_with_an_end_ends_with_status_0_and_leaves_no_process(tmp_path: Path) -> None:
    job = Deployment(tmp_path, line_count=4_000)
    with running(tmp_path, "ray:new", *job.options, "--hosts", "2") as run:
        run.wait_event("application.ready")
        assert run.wait_end() == 0
    job.check()
    wait_until("all processes end", lambda: not command_lines(str(tmp_path)))


def test_whatever_process_is_killed_under_load_nothing_is_lost(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, is_sent_to=True)
    options = [*deployment.options, "--hosts", "2", "--standby", "1", "--worker-timeout", "3"]
    with running(tmp_path, "ray:new", *options) as run:
        run.wait_event("application.ready")
        sender = deployment.sender()
        wait_checkpoints(deployment.store)

        worker = run.status()["workers"][0]
        os.kill(worker["pid"], signal.SIGKILL)
        run.wait_event("application.ready_again")
        sender.wait_sent(1_000)

        [initializer] = command_lines("--expect-workers", str(tmp_path))
        os.kill(initializer, signal.SIGKILL)
        run.wait_event("application.ready", 2)
        sender.wait_sent(1_000)

        [manager] = [pid for pid, line in command_lines("ray::Manager").items() if line]
        os.kill(manager, signal.SIGKILL)
        run.wait_event("application.ready", 3)
        assert len({line["control"] for line in run.events("application.ready")}) == 3
        sender.wait_sent(1_000)

        assert "joined: 3 workers now" in run.ask("grow")
        sender.wait_sent(1_000)
        agents = command_lines("--join", str(tmp_path))
        sent = sender.stop()
        assert run.stop() == 0
        assert all(map(is_gone, agents))
    deployment.check(sent)
