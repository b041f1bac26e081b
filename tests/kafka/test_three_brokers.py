"""From topic to topic on three brokers: leaders change while brokers are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.kafka_totals.kafka_brokers import KafkaProcess, classpath
from tests.cluster.harness import WAIT_S, free_ports, running, wait_until
from tests.kafka.broker import Broker
from tests.kafka.chains import Chains

pytestmark = [pytest.mark.kafka, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = 2


@pytest.fixture
def brokers(kafka: Broker, tmp_path: Path) -> Iterator[list[KafkaProcess]]:
    """Three brokers that run; the first is also the controller."""
    kafka.own()
    first: KafkaProcess | None = None
    started: list[KafkaProcess] = []
    try:
        for node in (1, 2, 3):
            folder = tmp_path / f"broker-{node}"
            folder.mkdir()
            process = KafkaProcess(folder, classpath(), free_ports, node=node, size=3, leader=first)
            first = first or process
            started.append(process)
            process.start()
        yield started
    finally:
        for process in started:
            process.kill()


def leaders_of(kafka: Broker, topic: str) -> set[int]:
    found = kafka.admin.list_topics(topic, timeout=10).topics[topic]
    return {partition.leader for partition in found.partitions.values()}


def in_sync(kafka: Broker, topic: str) -> int:
    found = kafka.admin.list_topics(topic, timeout=10).topics[topic]
    return min(len(partition.isrs) for partition in found.partitions.values())


def test_leaders_may_change_while_results_are_written(
    brokers: list[KafkaProcess], tmp_path: Path
) -> None:
    kafka = Broker(",".join(process.bootstrap for process in brokers))
    wait_until("all brokers are there", lambda: len(kafka.admin.list_topics().brokers) == 3)
    chains = Chains(kafka, tmp_path, 3, replicas=3)
    chains.start()
    with running(tmp_path, "topic_chains", *chains.options()) as cluster:
        chains.wait_more()
        for _ in range(ROUNDS):
            for node, process in enumerate(brokers[1:], 2):
                process.kill()
                wait_until(
                    "others lead",
                    lambda node=node: node not in leaders_of(kafka, chains.output),  # type: ignore[misc]
                    2 * WAIT_S,
                )
                chains.wait_more()
                process.start()
                for topic in (chains.input, chains.output):
                    wait_until(
                        "all replicas are in sync",
                        lambda topic=topic: in_sync(kafka, topic) == 3,  # type: ignore[misc]
                        2 * WAIT_S,
                    )
        chains.finish(cluster)
        assert cluster.events("worker.lost") == []
