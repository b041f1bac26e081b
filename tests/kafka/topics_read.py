"""What is in a topic, as a reader sees it that reads committed messages alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka import admin as admin_api

from tests.kafka.broker import Broker

READ_WITHIN_S = 30.0


@contextmanager
def consumer_of(bootstrap: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "tests",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def messages_in(kafka: Broker, topic: str, bootstrap: str | None = None) -> list[Any]:
    """Return all committed messages, those of each partition in order.

    If a transaction is open, the end of the topic is in front of it.
    """
    with consumer_of(bootstrap or kafka.bootstrap) as consumer:
        found = consumer.list_topics(topic, timeout=READ_WITHIN_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in found])
        messages: list[Any] = []
        ended: set[int | None] = set()
        give_up_s = time.monotonic() + READ_WITHIN_S
        while len(ended) < len(found):
            assert time.monotonic() < give_up_s, f"topic {topic} cannot be read to its end"
            message = consumer.poll(1)
            if message is None:
                continue
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
    return messages


def values_in(kafka: Broker, topic: str) -> list[Any]:
    """Return the values of all committed messages, those of each partition in order."""
    return [message.value() for message in messages_in(kafka, topic)]


def committed_end(kafka: Broker, topic: str) -> int:
    """Return where readers of committed messages see the end of partition 0."""
    specs: Any = admin_api
    place, level = TopicPartition(topic, 0), IsolationLevel.READ_COMMITTED
    asked = kafka.admin.list_offsets({place: specs.OffsetSpec.latest()}, isolation_level=level)
    return int(asked[place].result().offset)
