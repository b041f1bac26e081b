"""The two kinds of Kafka sinks: at least once, and exactly once.

**Exactly once.** The runtime gives batches with numbers. A batch and its number are one
transaction: the number is an offset of a consumer group that nobody reads with, so the brokers keep
it beside the messages. The transactional id and the group are named as the slot.

* *A predecessor wakes up.* ``init_transactions`` of the same id excludes it: it aborts what the
  predecessor had begun, and the brokers refuse all it sends from then on.
* *The answer to a commit is lost.* The sink is opened again. By the time that succeeds, the brokers
  have committed or aborted the transaction, and the number says which of both.
* *A transaction takes too long.* The brokers abort it (``transaction.timeout.ms``). The batch is
  written again. A transaction lasts as long as one batch takes, and none is open in between.
* *The brokers forget the number.* They do so a week after the last batch
  (``offsets.retention.minutes``). See ``on_unknown``.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import wallaroo
from wallaroo_connectors.kafka.client import (
    ADMIN_OPTIONS,
    TIMEOUT_S,
    Cluster,
    close_soon,
    error_of,
    new_client,
    returned_within,
)
from wallaroo_connectors.kafka.options import ClientOptions, missing_library
from wallaroo_connectors.kafka.producing import DEFAULTS, FIXED, TopicProducer
from wallaroo_connectors.kafka.records import messages_of
from wallaroo_connectors.kafka.topics import (
    LOOKED_EVERY_S,
    KafkaTopic,
    find_topic,
    name_mistakes,
)

WRITTEN_WITHIN_S = 20.0
"""A transaction that is not written by then is given up, and the batch is written again."""
STEP_S_MAX = 30.0
"""A step of a transaction that takes longer than its own limit is given up."""
ABORTED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What both kinds of sinks are made of."""

    topic: str
    options: ClientOptions
    encoder: Callable[[Any], Any] | None
    name: str | None
    create_topic: KafkaTopic | None


class _TopicSink:
    """What both kinds have in common; ``_open`` and ``_close`` go around the life of a producer."""

    def __init__(self, settings: SinkSettings) -> None:
        self.encoder = settings.encoder
        self.name = settings.name
        self._settings = settings
        self._cluster = Cluster(settings.options)
        self._partition_count = 0
        self._producer: TopicProducer | None = None

    def identity(self) -> str:
        """Return what numbers depend on; brokers and passwords may change."""
        return f"kafka topic {self._settings.topic}"

    def mistakes(self) -> Iterator[str]:
        """Yield a sentence for each mistake in the arguments."""
        missing = missing_library()
        if missing is not None:
            yield missing
        yield from name_mistakes([self._settings.topic])
        create: object = self._settings.create_topic
        if isinstance(create, KafkaTopic):
            yield from create.mistakes()
        elif create is not None:
            yield f"create_topic is {create!r}; give a KafkaTopic"
        yield from self._settings.options.mistakes({**DEFAULTS, **FIXED})

    def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _open_producer(self, **ours: Any) -> TopicProducer:
        settings = self._settings
        if (prepare := getattr(settings.encoder, "prepare", None)) is not None:
            prepare()
        facts = find_topic(self._cluster, settings.topic, settings.create_topic)
        self._partition_count = facts.partition_count
        self._producer = TopicProducer(
            settings.options, settings.topic, facts.message_bytes_max, ours
        )
        return self._producer

    def _write(self, records: list[Any], go_on: Callable[[bool], None]) -> None:
        producer = self._producer
        assert producer is not None, "the sink is not open"
        producer.write(self._messages(records, producer.message_bytes_max), go_on)

    def _messages(self, records: list[Any], bytes_max: int) -> list[Any]:
        try:
            return messages_of(records, self._partition_count, bytes_max)
        except wallaroo.Rejected:
            # Partitions may have been added since the sink was opened.
            self._partition_count = self._cluster.partition_count(self._settings.topic)
            return messages_of(records, self._partition_count, bytes_max)

    def _error_of(self, error: Any) -> Exception:
        return error_of(error, self._settings.options, self._settings.topic)


class KafkaSink(_TopicSink, wallaroo.Sink[Any]):
    """Writes results to a topic as they are made; after a crash some of them again."""

    def open(self) -> None:
        """Find the topic and make a producer."""
        self._open_producer(**{"client.id": f"wallaroo-{self.name or self._settings.topic}"})

    def write(self, records: list[Any], /) -> None:
        """Write these records; return when all replicas have them."""
        # The producer tries on while brokers are away. Another one would write messages again whose
        # acknowledgement was lost.
        self._write(records, lambda _: None)


class KafkaOnceSink(_TopicSink, wallaroo.OnceSink[Any]):
    """Writes each batch with its number in one transaction."""

    def __init__(self, settings: SinkSettings, on_unknown: Literal["again", "stop"]) -> None:
        super().__init__(settings)
        self.on_unknown = on_unknown
        self._last: int | None = None
        self._group: Any = None
        """What the client library calls the metadata of the group of this slot."""
        self._is_in_transaction = False
        self._give_up_s = 0.0

    def open(self, slot: str, /) -> None:
        """Find the topic, and exclude earlier openers by the transactional id of the slot.

        ``init_transactions`` aborts what an earlier opener had begun, waits for a commit that is
        under way, and raises the epoch of the id: brokers then refuse all that an opener with a
        lower one sends.
        """
        producer = self._open_producer(**{"client.id": slot, "transactional.id": slot})
        self._transact(producer.client.init_transactions, WRITTEN_WITHIN_S)
        self._last = self._number_of(slot)

    def _number_of(self, slot: str) -> int | None:
        """Return the number of the last batch; keep what transactions say of the group."""
        from confluent_kafka import Consumer, KafkaException

        ours = {"group.id": slot, "client.id": slot, "log_level": 0}
        consumer = new_client(Consumer, self._settings.options, ours, ADMIN_OPTIONS)
        try:
            place = self._committed(consumer)
            self._group = consumer.consumer_group_metadata()
        except KafkaException as error:
            raise self._error_of(error.args[0]) from error
        finally:
            close_soon(consumer.close)
        if place.error is not None:
            raise self._error_of(place.error)
        return None if place.offset < 0 else int(place.offset)

    def _committed(self, consumer: Any) -> Any:
        """Return the place of the group; wait for a coordinator that is not ready.

        The first group of a cluster lets the brokers create a topic for the offsets of groups.
        """
        from confluent_kafka import KafkaError, KafkaException

        give_up_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                [place] = consumer.committed([self._place()], timeout=TIMEOUT_S)
            except KafkaException as error:
                not_ready = (
                    KafkaError.NOT_COORDINATOR,
                    KafkaError.COORDINATOR_NOT_AVAILABLE,
                    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
                )
                is_ready = error.args[0].code() not in not_ready
                if is_ready or time.monotonic() > give_up_s:
                    raise
                time.sleep(LOOKED_EVERY_S)
            else:
                return place

    def _place(self, number: int = -1) -> Any:
        """Return where the group has the number: if the topic is deleted, it is deleted too."""
        from confluent_kafka import OFFSET_INVALID, TopicPartition

        return TopicPartition(self._settings.topic, 0, OFFSET_INVALID if number < 0 else number)

    def last(self) -> int | None:
        """Return the number of the last batch of this slot."""
        return self._last

    def write(self, records: list[Any], number: int, /) -> None:
        """Write these records and the number in one transaction."""
        assert self._producer is not None, "the sink is not open"
        client = self._producer.client
        messages = self._messages(records, self._producer.message_bytes_max)
        self._give_up_s = time.monotonic() + WRITTEN_WITHIN_S
        self._transact(client.begin_transaction)
        self._is_in_transaction = True
        self._producer.write(messages, self._go_on)
        if number:
            place = [self._place(number)]
            self._transact(client.send_offsets_to_transaction, place, self._group, TIMEOUT_S)
        self._transact(client.commit_transaction, WRITTEN_WITHIN_S)
        self._is_in_transaction = False

    def _go_on(self, is_down: bool) -> None:
        """Give up if no broker can be reached: unlike a producer, a transaction is safe to repeat,
        and while this waits the worker cannot go back to a checkpoint."""
        if is_down:
            raise ConnectionError("no broker can be reached")
        if time.monotonic() > self._give_up_s:
            raise TimeoutError(f"the brokers have not taken a batch within {WRITTEN_WITHIN_S:g} s")

    def _transact(self, step: Callable[..., Any], *given: Any) -> None:
        from confluent_kafka import KafkaException

        try:
            returned_within(STEP_S_MAX, lambda: step(*given))
        except KafkaException as error:
            raise self._error_of(error.args[0]) from error

    def close(self) -> None:
        """Disconnect, and abort a transaction that is open: readers would wait for its end."""
        from confluent_kafka import KafkaException

        if self._is_in_transaction and self._producer is not None:
            self._is_in_transaction = False
            # Another process may have excluded this one, or the commit may have taken effect.
            client = self._producer.client
            with suppress(KafkaException, TimeoutError):
                returned_within(
                    2 * ABORTED_WITHIN_S, lambda: client.abort_transaction(ABORTED_WITHIN_S)
                )
        super().close()
