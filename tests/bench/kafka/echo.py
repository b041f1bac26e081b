"""Writes each message of a topic to another one, with the client library alone, until it is killed.

Arguments: bootstrap, topic to read, topic to write.
"""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition

from wallaroo_connectors.kafka.reader import DEFAULTS


def main() -> None:
    """Pass messages on one by one."""
    bootstrap, source, target = sys.argv[1:4]
    ours = {"bootstrap.servers": bootstrap}
    consumer = Consumer({**DEFAULTS, **ours, "group.id": "echo", "enable.auto.commit": False})
    producer = Producer({**ours, "enable.idempotence": True, "linger.ms": 0, "log_level": 0})
    consumer.assign([TopicPartition(source, 0, 0)])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        message = consumer.poll(0.2)
        producer.poll(0)
        if message is not None and message.error() is None:
            producer.produce(target, message.value(), message.key())


if __name__ == "__main__":
    main()
