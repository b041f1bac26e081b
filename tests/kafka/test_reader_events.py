"""What the Kafka reader makes of events that the client reports among messages."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError

from wallaroo_connectors.kafka import KafkaSourceConfig
from wallaroo_connectors.kafka.positions import NO_EPOCH, Position
from wallaroo_connectors.kafka.reader import KafkaReader


class Fetched:
    """A message of the client, or an event."""

    def __init__(
        self, offset: int, error: KafkaError | None = None, *, topic: str = "t", partition: int = 0
    ) -> None:
        self._offset, self._error = offset, error
        self._topic, self._partition = topic, partition

    def __len__(self) -> int:
        return 1

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return b"%d" % self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def leader_epoch(self) -> int:
        return 0


class Client:
    """A consumer that has fetched these."""

    def __init__(self, fetched: list[Fetched]) -> None:
        self.fetched = fetched

    def consume(self, _count: int, _timeout_s: float) -> list[Fetched]:
        fetched, self.fetched = self.fetched, []
        return fetched

    def poll(self, _timeout_s: float) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def reader() -> Iterator[KafkaReader]:
    reader = KafkaSourceConfig("t", "127.0.0.1:1", None).reader()
    reader._consumer.close()
    reader._places["t", 0] = Position(10, NO_EPOCH, "")
    yield reader


def polled(reader: KafkaReader, *fetched: Fetched) -> list[tuple[list[Any], int, bool]]:
    """Return records, offset behind them, and whether the end was reached, of each batch."""
    reader._consumer = Client([*fetched])
    batches = [batch for _, batch in reader.poll(0) if batch is not None]
    return [([*each.records], each.position[0], each.is_caught_up) for each in batches]


def end(offset: int) -> Fetched:
    return Fetched(offset, KafkaError(KafkaError._PARTITION_EOF))


def test_the_end_of_a_partition_is_behind_the_markers_of_transactions(reader: KafkaReader) -> None:
    assert polled(reader, Fetched(10), Fetched(11), end(13)) == [
        ([b"10", b"11"], 12, False),
        ([], 13, True),
    ]


def test_an_end_that_was_reported_before_further_messages_does_not_move_the_position_back(
    reader: KafkaReader,
) -> None:
    assert polled(reader, end(10), Fetched(10), Fetched(11)) == [([b"10", b"11"], 12, False)]
    assert polled(reader, end(12)) == [([], 12, True)]


@pytest.mark.parametrize("topics", [("t",), ("t", "u")])
def test_each_message_is_of_its_own_partition_in_whatever_order_they_arrive(
    reader: KafkaReader, topics: tuple[str, ...]
) -> None:
    places = [(topic, partition) for topic in topics for partition in (0, 1)]
    reader._ids.update(dict.fromkeys(topics, ""))
    reader._places.update(dict.fromkeys(places, Position(10, NO_EPOCH, "")))
    # Of the topics in turn, so that neighbours have the same number of a partition.
    order = [(topic, partition) for partition in (0, 1, 1, 0) for topic in topics]
    fetched = [
        Fetched(offset, topic=topic, partition=partition)
        for offset, (topic, partition) in enumerate(order, 10)
    ]
    reader._consumer = Client([*fetched[:3], end(9), *fetched[3:]])
    found = {name: batch.records for name, batch in reader.poll(0) if batch is not None}
    wanted: dict[str, list[bytes]] = {}
    for each in fetched:
        name = f"{each.topic()}-{each.partition()}"
        wanted.setdefault(name, []).append(each.value())
    assert found == wanted
