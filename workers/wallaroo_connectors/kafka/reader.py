"""Reads all partitions that a worker has of the topics of one source, over one client.

**What can go wrong**

* *Retention has deleted messages that were not read, or the log was cut off.* The client is told to
  report this and not to choose an offset. ``on_out_of_range`` says what follows; nothing is skipped
  without a line in the log.
* *A topic was deleted and made again.* Offsets then mean other messages. Each position has the
  topic's id, which is compared when a partition is added and from time to time.
* *The brokers are away.* The client reconnects by itself and says nothing. Once it reports that all
  brokers are down the reader gives up, so that the runtime logs it and makes a new reader.
* *A partition is removed and added again.* The client drops what it had fetched before.

The client is never paused, since that throws away what it has fetched: the runtime polls less.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import wallaroo
from wallaroo_connectors.kafka.client import (
    Cluster,
    close_soon,
    error_of,
    id_of,
    is_refusal,
    is_unknown_topic,
    new_client,
    reason_of,
)
from wallaroo_connectors.kafka.ends import Ends
from wallaroo_connectors.kafka.group import GroupOffsets
from wallaroo_connectors.kafka.options import ClientOptions
from wallaroo_connectors.kafka.positions import BEGINNING, Position, of_split, split_name

RECORDS_MAX = 2_000
BYTES_MAX = 1 << 20
"""The runtime takes no larger batches."""
CHECKED_EVERY_S = 10.0
"""How often it is asked whether the topics are still the same."""

DEFAULTS = {
    "isolation.level": "read_committed",
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 20_000,
    "fetch.queue.backoff.ms": 20,
    "fetch.wait.max.ms": 100,
    "log_level": 0,
}
"""Options that users may change."""
FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
}

_log = wallaroo.get_logger("kafka")


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What a reader does with messages."""

    options: ClientOptions
    cluster: Cluster
    offsets: GroupOffsets
    group: str
    client_id: str
    fields: Callable[[Any], Any]
    """Returns the payload of a message."""
    prepare: Callable[[list[Any]], None] | None
    """Is called with values before they are handed out; it may fetch what decoding them needs."""
    has_keys: bool
    keeps_tombstones: bool
    on_out_of_range: str


class _OffsetsOf(Sequence[int]):
    """Offsets of messages. The runtime needs one or none of them, so they are looked up then."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    def __getitem__(self, index: Any) -> Any:
        return self._messages[index].offset()


class _TimesOf(_OffsetsOf):
    """Their times in Unix seconds; NaN for a message without one."""

    def __getitem__(self, index: Any) -> Any:
        kind, timestamp_ms = self._messages[index].timestamp()
        return timestamp_ms / 1000 if kind else math.nan


class KafkaReader:
    """The partitions of one worker; only the connector's thread uses it."""

    def __init__(self, settings: ReaderSettings) -> None:
        from confluent_kafka import Consumer

        self._settings = settings
        self._places: dict[tuple[str, int], Position] = {}
        self._ids: dict[str, str] = {}
        self._errors: list[Any] = []
        self._is_down = False
        isolation = settings.options.client_options(DEFAULTS)["isolation.level"]
        self._ends = Ends(settings.cluster, is_committed=isolation == "read_committed")
        self._questions: dict[str, Any] = {}
        """Futures of what topics are now."""
        self._unknown: set[str] = set()
        """Topics that a broker did not know when it was asked last."""
        self._next_check_s = time.monotonic() + CHECKED_EVERY_S
        ours = {
            **DEFAULTS,
            "client.id": settings.client_id,
            "group.id": settings.group,
            "error_cb": self._errors.append,
            "on_commit": settings.offsets.answered,
            "logger": _log,
        }
        self._consumer: Any = new_client(
            lambda options: Consumer({**options, **FIXED}), settings.options, ours
        )

    def add(self, partition: str, value: Any, /) -> None:
        """Read this partition from now on."""
        topic, number = of_split(partition)
        position = Position.of(value)
        found = self._ids.get(topic)
        if found is None:
            found = self._ids[topic] = self._settings.cluster.topic_id(topic)
        self._check_id(topic, position.topic_id, found)
        self._assign(topic, number, replace(position, topic_id=found))

    def _assign(self, topic: str, number: int, position: Position) -> None:
        from confluent_kafka import TopicPartition

        self._places[topic, number] = position
        place = TopicPartition(topic, number, position.offset, leader_epoch=position.epoch)
        self._consumer.incremental_assign([place])

    def remove(self, partition: str, /) -> None:
        """Read this partition no more."""
        self._unassign(*of_split(partition))

    def _unassign(self, topic: str, number: int) -> None:
        from confluent_kafka import TopicPartition

        if self._places.pop((topic, number), None) is not None:
            self._ends.forget((topic, number))
            self._consumer.incremental_unassign([TopicPartition(topic, number)])

    def end(self, partition: str) -> int | None:
        """Return where the partition ends, as far as it is known."""
        from confluent_kafka import TopicPartition

        place = of_split(partition)
        if place not in self._places:
            return None
        self._ends.look(self._places, time.monotonic())
        _, fetched = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return self._ends.end(place, fetched)

    def held(self, partition: str) -> str | None:
        """Return why messages that are there cannot be read; ``None`` if they can."""
        place = of_split(partition)
        position = self._places.get(place)
        return None if position is None else self._ends.held(place, position.offset)

    def close(self) -> None:
        """Close the client."""
        last = [] if self._is_down else self._settings.offsets.take()
        # Nobody may ask the closed client where they end.
        self._places.clear()
        # A worker that waits here for ever would be replaced.
        close_soon(partial(self._commit_and_close, last))

    def _commit_and_close(self, last: list[Any]) -> None:
        self._settings.offsets.commit_last(self._consumer, last)
        self._consumer.close()

    # Reading

    def poll(self, timeout_s: float, /) -> Iterator[tuple[str, wallaroo.Batch[Any] | None]]:
        """Yield what has arrived; wait for it if nothing has."""
        now_s = time.monotonic()
        self._settings.offsets.commit(self._consumer, now_s)
        self._check_topics(now_s)
        # Only what is there: with a time-out, ``consume`` waits for a full batch.
        messages = self._consumer.consume(RECORDS_MAX, 0)
        if not messages:
            first = self._consumer.poll(timeout_s)
            self._raise_if_down()
            if first is None:
                return
            messages = [first, *self._consumer.consume(RECORDS_MAX - 1, 0)]
        by_place, events = _sorted(messages, self._only_topic())
        for place, found in by_place.items():
            if place in self._places:
                yield from self._batches(place, found)
        for event in events:
            yield from self._note(event)

    def _only_topic(self) -> str | None:
        """Return the one topic that was ever read here; ``None`` if there are several.

        Messages may still arrive of partitions that are no longer read.
        """
        return next(iter(self._ids)) if len(self._ids) == 1 else None

    def _batches(
        self, place: tuple[str, int], messages: list[Any]
    ) -> Iterator[tuple[str, wallaroo.Batch[Any] | None]]:
        position = self._places[place]
        end = position.end
        is_last = end is not None and messages[-1].offset() >= end - 1
        if end is not None and is_last:
            messages = [each for each in messages if each.offset() < end]
        name, settings = split_name(*place), self._settings
        for piece in _pieces(messages):
            epoch = piece[-1].leader_epoch()
            position = replace(
                position,
                offset=piece[-1].offset() + 1,
                epoch=position.epoch if epoch is None else epoch,
            )
            kept = piece if settings.keeps_tombstones else _with_values(piece)
            if settings.prepare is not None:
                settings.prepare([each.value() for each in kept])
            yield (
                name,
                wallaroo.Batch(
                    list(map(settings.fields, kept)),
                    position.packed(),
                    keys=[each.key() for each in kept] if settings.has_keys else None,
                    offsets=_OffsetsOf(kept),
                    times=_TimesOf(kept),
                ),
            )
        self._places[place] = position
        if is_last:
            self._unassign(*place)
            yield name, None

    def _note(self, event: Any) -> Iterator[tuple[str, wallaroo.Batch[Any] | None]]:
        """Act on what the client reports instead of a message."""
        from confluent_kafka import KafkaError

        error, place = event.error(), (event.topic(), event.partition())
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            yield from self._ended(place, event.offset())
        elif code == KafkaError._AUTO_OFFSET_RESET:
            yield from self._out_of_range(place, event)
        elif code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self._settings.offsets.answered(error, [])
        else:
            raise error_of(error, self._settings.options, event.topic() or "")

    def _ended(
        self, place: tuple[str, int], offset: int
    ) -> Iterator[tuple[str, wallaroo.Batch[Any] | None]]:
        position = self._places.get(place)
        # Messages that were fetched together with the event, and behind it, are handed out already.
        # With its older offset they would be read twice.
        if position is None or offset < position.offset:
            return
        # Behind the last message there may be markers of transactions, which have offsets, too.
        self._places[place] = position = replace(position, offset=offset)
        name = split_name(*place)
        yield name, wallaroo.Batch([], position.packed(), is_caught_up=True)
        if position.end is not None and offset >= position.end:
            self._unassign(*place)
            yield name, None

    def _out_of_range(
        self, place: tuple[str, int], event: Any
    ) -> Iterator[tuple[str, wallaroo.Batch[Any] | None]]:
        position, choice = self._places.get(place), self._settings.on_out_of_range
        if position is None:
            return
        name = split_name(*place)
        said = self._settings.options.without_secrets(event.error().str())
        if choice == "stop":
            at = "its beginning" if position.offset == BEGINNING else f"offset {position.offset}"
            raise wallaroo.SourceError(
                f"partition {name} cannot be read on at {at}: {said}",
                "retention has deleted messages that were not read, or the topic was cut off; give "
                'on_out_of_range="earliest" or "latest" to go on without them',
            )
        isolation = "read_uncommitted"
        offset = self._settings.cluster.offset(*place, choice, isolation)
        _log.warning(
            "partition %s has no offset %d any more, so it is read on at %d (%s): %s",
            name, position.offset, offset, choice, said,
        )  # fmt: skip
        self._unassign(*place)
        position = replace(position, offset=offset, epoch=-1)
        self._assign(*place, position)
        yield name, wallaroo.Batch([], position.packed())

    # The state of the cluster

    def _raise_if_down(self) -> None:
        from confluent_kafka import KafkaError

        errors, self._errors[:] = [*self._errors], []
        for error in errors:
            if (
                is_refusal(error, self._settings.options)
                or error.code() == KafkaError._ALL_BROKERS_DOWN
            ):
                self._is_down = True
                options = self._settings.options
                raise error_of(error, options, reason=reason_of(errors, options))

    def _check_topics(self, now_s: float) -> None:
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + CHECKED_EVERY_S
        questions, self._questions = self._questions, {}
        for topic, question in questions.items():
            if question.done() and topic in self._ids:
                self._check_answer(topic, question)
        for topic in {topic for topic, _ in self._places}:
            self._questions[topic] = self._settings.cluster.topic_question(topic)

    def _check_answer(self, topic: str, question: Any) -> None:
        from confluent_kafka import KafkaException

        was_unknown = topic in self._unknown
        self._unknown.discard(topic)
        try:
            self._check_id(topic, self._ids[topic], id_of(question.result()))
        except KafkaException as error:
            if not is_unknown_topic(error.args[0]):
                return
            # A broker that has just started may not know it yet.
            self._unknown.add(topic)
            if was_unknown:
                raise wallaroo.SourceError(
                    f"topic {topic!r} was deleted while it was read",
                    "make it again and start without the checkpoint, or remove it from topics=",
                ) from error

    @staticmethod
    def _check_id(topic: str, expected: str, found: str) -> None:
        if expected and found and expected != found:
            raise wallaroo.SourceError(
                f"topic {topic!r} is not the one that was read before: it was deleted and made "
                "again, or this is another cluster, so its offsets mean other messages",
                "correct bootstrap=; or start with an empty --resilience-dir to read the new topic",
            )


def _sorted(
    messages: Iterable[Any], only_topic: str | None
) -> tuple[dict[tuple[str, int], list[Any]], list[Any]]:
    """Return messages by partition, and the events among them.

    ``only_topic`` is the topic of all of them, if it is known: each answer of the client to that
    question is a new string.
    """
    by_place: dict[tuple[str, int], list[Any]] = {}
    events: list[Any] = []
    found: list[Any] | None = None
    last = None
    for message in messages:
        if message.error() is not None:
            events.append(message)
            continue
        partition = message.partition()
        # Messages of a partition arrive many at a time.
        if only_topic is None or partition != last:
            last = partition
            place = only_topic or message.topic(), partition
            found = by_place.get(place)
        if found is None:
            by_place[place] = found = [message]
        else:
            found.append(message)
    return by_place, events


def _pieces(messages: list[Any]) -> Iterator[list[Any]]:
    """Yield messages in pieces that a batch may have: of one leader epoch, and not too large."""
    if not messages:
        return
    is_small = sum(map(len, messages)) <= BYTES_MAX
    if is_small and messages[0].leader_epoch() == messages[-1].leader_epoch():
        yield messages
        return
    start = byte_count = 0
    for index, message in enumerate(messages):
        byte_count += len(message)
        is_other = message.leader_epoch() != messages[start].leader_epoch()
        if index > start and (byte_count > BYTES_MAX or is_other):
            yield messages[start:index]
            start, byte_count = index, len(message)
    yield messages[start:]


def _with_values(messages: list[Any]) -> list[Any]:
    """Return messages without tombstones."""
    return [each for each in messages if each.value() is not None]
