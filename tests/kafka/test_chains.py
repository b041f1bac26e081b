"""From topic to topic on a real broker: each result is there once, whatever is killed when."""

import os
import signal
from pathlib import Path

import pytest

from tests.cluster.durable import kill_initializer
from tests.cluster.harness import running
from tests.kafka.broker import Broker
from tests.kafka.chains import Chains

pytestmark = [pytest.mark.kafka, pytest.mark.cluster]

IN_A_DELIVERY = (
    "manifest written",
    "begun",
    "half written",
    "all written",
    "number written",
    "committed",
)


def test_a_worker_may_be_killed_at_every_point_of_a_delivery(kafka: Broker, tmp_path: Path) -> None:
    chains = Chains(kafka, tmp_path, 3)
    points = [*IN_A_DELIVERY, "opening again", "opened again"]
    options = [each for point in points for each in ("--die", point)]
    with running(tmp_path, "topic_chains", *chains.options(*options, workers=2)) as cluster:
        chains.start()
        cluster.wait_event("worker.lost", len(points))
        chains.wait_more()
        chains.end()
        chains.wait_all()
        assert cluster.stop() == 0
    chains.check()


def test_processes_may_be_killed_while_results_are_written(kafka: Broker, tmp_path: Path) -> None:
    chains = Chains(kafka, tmp_path, 3)
    chains.start()
    with running(tmp_path, "topic_chains", *chains.options()) as cluster:
        cluster.wait_ready()
        chains.wait_more()
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        chains.wait_more()
        kill_initializer(cluster)
    with running(tmp_path, "topic_chains", *chains.options(workers=2)) as cluster:
        chains.wait_more()
        chains.end()
        chains.wait_all()
        assert cluster.stop() == 0
    chains.check()
