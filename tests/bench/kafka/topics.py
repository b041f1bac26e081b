"""Topics of the broker of a benchmark: filled, and watched for results."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka import admin as admin_api
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.bench.scenarios import VOTES

FRAME_BYTES, HEADER_BYTES = 9, 4
PARTITIONS = 4
BATCH = 10_000
LOOK_S = 0.1
ANSWER_S = 10.0
TIMEOUT_S = 120.0


class Topics:
    """What is done at one broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        # A client that is thrown away leaves its questions without answers.
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def make(self, partition_count: int = PARTITIONS) -> str:
        """Make a topic with a random name and return it once the broker knows it."""
        name, admin = f"bench-{uuid.uuid4().hex[:10]}", self._admin
        admin.create_topics([NewTopic(name, partition_count, 1)])[name].result()
        while admin.list_topics(timeout=10).topics.get(name) is None:
            time.sleep(LOOK_S)
        return name

    def filled(self, record_count: int) -> str:
        """Make a topic of so many votes, each with its letter as the key."""
        name, data = self.make(), VOTES.read_bytes()
        values = [
            data[start + HEADER_BYTES : start + FRAME_BYTES]
            for start in range(0, len(data), FRAME_BYTES)
        ]
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 200_000,
                "log_level": 0,
            }
        )
        for n in range(record_count):
            value = values[n % len(values)]
            while True:
                try:
                    producer.produce(name, value, value[:1])
                    break
                except BufferError:
                    producer.poll(LOOK_S)
            if n % BATCH == 0:
                producer.poll(0)
        assert producer.flush(TIMEOUT_S) == 0
        return name

    def end(self, topic: str, partition_count: int = PARTITIONS) -> int:
        """Return the sum of the ends of its partitions."""
        specs: Any = admin_api
        wanted: Any = {
            TopicPartition(topic, number): specs.OffsetSpec.latest()
            for number in range(partition_count)
        }
        asked = self._admin.list_offsets(wanted, request_timeout=ANSWER_S)
        return sum(int(each.result(2 * ANSWER_S).offset) for each in asked.values())

    def wait(self, topic: str, record_count: int, check: Callable[[], None]) -> float:
        """Wait until a topic has so many messages, and return the seconds that took.

        The marks of transactions count, too; they are few.
        """
        started_s = time.monotonic()
        while self.end(topic) < record_count:
            check()
            assert time.monotonic() < started_s + TIMEOUT_S, f"results are missing in {topic}"
            time.sleep(LOOK_S)
        return time.monotonic() - started_s


def input_topics(topics: Topics, folder: Path, record_count: int) -> str:
    """Return a topic of so many votes; it is filled once and kept for later rounds."""
    kept = folder / f"topic-{record_count}"
    if not kept.exists():
        kept.write_text(topics.filled(record_count))
    return kept.read_text()
