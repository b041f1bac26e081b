"""The client library alone: reads so many messages of a topic and throws them away.

Arguments: bootstrap, topic, partitions, messages. It says when it is ready, starts at a line on its
standard input, says when it has all, and ends with its input.
"""

import sys

from confluent_kafka import Consumer, TopicPartition

from wallaroo_connectors.kafka.reader import DEFAULTS, RECORDS_MAX

POLL_S = 0.2


def main() -> None:
    """Read as the connector does, with its options."""
    bootstrap, topic, partition_count, message_count = sys.argv[1:5]
    options = {"bootstrap.servers": bootstrap, "group.id": "alone", "enable.auto.commit": False}
    consumer = Consumer({**DEFAULTS, **options})
    _say("ready")
    sys.stdin.readline()
    consumer.assign([TopicPartition(topic, number, 0) for number in range(int(partition_count))])
    missing = int(message_count)
    while missing > 0:
        messages = consumer.consume(RECORDS_MAX, 0)
        if not messages:
            first = consumer.poll(POLL_S)
            messages = [] if first is None else [first]
        missing -= len(messages)
    _say("done")
    sys.stdin.readline()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
