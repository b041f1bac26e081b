"""Writes random orders to a topic, which it creates if it is not there."""

import argparse
import json
import random
import sys

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

USERS = ("ada", "bob", "cleo", "dan", "eve", "fay", "gus", "hal", "ivy", "jan")
PARTITIONS = 4
QUEUED_MAX = 50_000
"""Half of what the client holds at most."""


def orders_of(count: int, seed: int) -> list[dict[str, object]]:
    """Return the same random orders for the same seed."""
    chance = random.Random(seed)
    return [
        {"user": chance.choice(USERS), "cents": chance.randrange(100, 10_000)} for _ in range(count)
    ]


def create_topic(brokers: str, name: str) -> None:
    topic = NewTopic(name, PARTITIONS)
    admin = AdminClient({"bootstrap.servers": brokers})
    try:
        admin.create_topics([topic])[name].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def produce(brokers: str, topic: str, orders: list[dict[str, object]]) -> None:
    """Write orders with the user as the key, as a Java client would."""
    options = {"enable.idempotence": True, "partitioner": "murmur2_random"}
    producer = Producer({"bootstrap.servers": brokers, **options})
    errors: list[KafkaError] = []

    def written(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            errors.append(error)

    for order in orders:
        # A full queue empties while the brokers answer.
        while len(producer) >= QUEUED_MAX:
            producer.poll(0.1)
        producer.produce(topic, json.dumps(order), str(order["user"]), on_delivery=written)
        producer.poll(0)
    if producer.flush(60) or errors:
        sys.exit(f"orders were not written: {errors[:1] or 'no answer'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="orders")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    create_topic(options.brokers, options.topic)
    produce(options.brokers, options.topic, orders_of(options.count, options.seed))


if __name__ == "__main__":
    main()
