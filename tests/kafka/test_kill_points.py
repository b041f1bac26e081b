"""A worker, the initializer and the broker are killed at each point of a delivery, several times.

``docs/kafka.md`` has the table of what these tests and `test_havoc` found.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.cluster.durable import children
from tests.cluster.harness import WAIT_S, running, wait_until
from tests.kafka.broker import Broker
from tests.kafka.chains import Chains

pytestmark = [pytest.mark.kafka, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]

IN_A_DELIVERY = (
    "manifest written",
    "begun",
    "half written",
    "all written",
    "number written",
    "committed",
)
IN_A_RECOVERY = ("opening again", "opened again")
WORKER_KILLS = 4
INITIALIZER_KILLS = 2


@pytest.mark.parametrize("point", [*IN_A_DELIVERY, *IN_A_RECOVERY])
def test_workers_may_be_killed_here(kafka: Broker, tmp_path: Path, point: str) -> None:
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    # A process that recovers has been killed before.
    points = ["half written", point] if point in IN_A_RECOVERY else [point]
    done = [tmp_path / f"done-{each}" for each in points]
    options = chains.options(*[each for name in points for each in ("--die", name)])
    with running(tmp_path, "topic_chains", *options) as cluster:
        for round_ in range(1, WORKER_KILLS + 1):
            cluster.wait_event("worker.lost", round_ * len(points), 2 * WAIT_S)
            chains.wait_more()
            if round_ < WORKER_KILLS:
                for path in done:
                    path.unlink()
        chains.finish(cluster)


@pytest.mark.parametrize("point", IN_A_DELIVERY)
def test_the_initializer_may_be_killed_here(kafka: Broker, tmp_path: Path, point: str) -> None:
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    done = tmp_path / f"done-{point}"
    for _ in range(INITIALIZER_KILLS):
        done.unlink(missing_ok=True)
        options = chains.options("--die-all", point)
        with running(tmp_path, "topic_chains", *options) as cluster:
            # Its workers end by themselves, perhaps beside those of the next run.
            assert cluster.wait_end(2 * WAIT_S) == -9
    with running(tmp_path, "topic_chains", *chains.options()) as cluster:
        chains.finish(cluster)


@pytest.mark.parametrize("point", IN_A_DELIVERY)
def test_the_broker_may_be_killed_here(kafka: Broker, tmp_path: Path, point: str) -> None:
    process = kafka.own()
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    options = chains.options("--break", point, "--broker-pid", str(process.pid))
    with running(tmp_path, "topic_chains", *options) as cluster:
        broken = tmp_path / f"broken-{point}"
        wait_until("the broker is killed", broken.exists, 2 * WAIT_S)
        process.kill()
        process.start()
        chains.finish(cluster)
        assert cluster.events("worker.lost") == []


def test_a_broker_may_be_away_for_half_a_minute(kafka: Broker, tmp_path: Path) -> None:
    process = kafka.own()
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    with running(tmp_path, "topic_chains", *chains.options()) as cluster:
        chains.wait_more()
        process.kill()
        # This worker's lines of this kind are 10 s apart.
        wait_until(
            "half a minute is over",
            lambda: sum(line["process"] == "w2" for line in cluster.events("source.waiting")) > 3,
            2 * WAIT_S,
        )
        process.start()
        chains.finish(cluster)
        assert cluster.events("worker.lost") == []


def test_a_sink_that_is_at_least_once_is_found_out(kafka: Broker, tmp_path: Path) -> None:
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    options = chains.options("--delivery", "at_least_once")
    with running(tmp_path, "topic_chains", *options) as cluster:
        cluster.wait_ready(timeout_s=2 * WAIT_S)
        chains.wait_more()
        for pid in children(cluster.process.pid):
            os.kill(pid, signal.SIGKILL)
        chains.wait_more()
        chains.end()
        chains.wait_all()
        assert cluster.stop() == 0
    verdict = chains.verdict()
    assert verdict.lost == 0
    assert verdict.doubled > 0
