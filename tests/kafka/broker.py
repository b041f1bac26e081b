"""The Kafka broker of the tests, which is a real one: what tests do at it."""

import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from examples.kafka_totals.kafka_brokers import (
    PASSWORD,
    START_S,
    USER,
    Found,
    KafkaProcess,
    NoBrokerError,
    classpath,
    start_broker,
)
from tests.cluster.harness import free_ports, wait_until

__all__ = ["PASSWORD", "USER", "Broker", "found_broker"]


def found_broker(folder: Path) -> Found:
    """Return a real broker that runs. Without one, skip the test, or fail it with ``CI=true``."""
    try:
        found = start_broker(folder, free_ports)
    except NoBrokerError as error:
        missing(str(error))
    if found.lacks:
        found.stop()
        missing(f"{found.what} does not do: {found.lacks}")
    return found


def missing(reason: str) -> Never:
    """Skip the test for this reason; fail where a broker is required."""
    text = f"needs a Kafka broker: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


class Broker:
    """A broker and what tests do at it. Its topics have random names, so tests share it."""

    def __init__(self, bootstrap: str, process: KafkaProcess | None = None) -> None:
        self.bootstrap = bootstrap
        self.process = process
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def own(self) -> KafkaProcess:
        """Return the process, for tests that stop it."""
        if self.process is None:
            pytest.skip("KAFKA_BOOTSTRAP names a broker that tests cannot stop")
        return self.process

    def topic(self, partition_count: int = 1, replicas: int = 1, **config: str) -> str:
        """Make a topic and return its name."""
        name = f"wallaroo-tests-{uuid.uuid4().hex[:12]}"
        self.make(name, partition_count, replicas, **config)
        return name

    def make(self, name: str, partition_count: int = 1, replicas: int = 1, **config: str) -> None:
        """Make a topic of this name; ``_`` stands for a dot in a name of ``config``."""
        options = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, partition_count, replicas, config=options)

        def is_made() -> bool:
            # The name of a topic that was just deleted is free a moment later.
            try:
                self.admin.create_topics([topic])[name].result()
            except KafkaException as error:
                if "already exists" in str(error):
                    return False
                raise
            return True

        wait_until(f"topic {name} is made", is_made)
        wait_until(
            "it is known",
            lambda: self.admin.list_topics(name, timeout=10).topics[name].error is None,
        )

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def producer(self, **options: Any) -> Producer:
        """Return a producer; ``_`` stands for a dot in a name of ``options``."""
        given = {name.replace("_", "."): value for name, value in options.items()}
        # Without this, a batch that is sent again may end up behind those that follow it.
        given.setdefault("enable.idempotence", True)
        return Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0, **given}
        )

    def produce(self, topic: str, messages: Sequence[tuple[int, Any, Any]]) -> None:
        """Write messages, each a partition, a key and a value; return when they are written."""
        producer = self.producer()
        errors: list[Any] = []
        for partition, key, value in messages:
            producer.produce(
                topic, value, key, partition, on_delivery=lambda error, _: errors.append(error)
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert [error for error in errors if error is not None] == []


def run_tool(java_class: str, *arguments: str, given: str = "") -> str:
    """Run a tool that comes with Kafka, such as the class behind ``kafka-consumer-groups.sh``.

    ``given`` is its input.
    """
    java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath()]
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    command = [*java[:-2], quiet, *java[-2:], java_class, *arguments]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=START_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
