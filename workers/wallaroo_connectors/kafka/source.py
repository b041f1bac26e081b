"""The Kafka source as applications configure it."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypeVar

import wallaroo
from wallaroo_connectors.kafka.client import Cluster, error_of, new_client
from wallaroo_connectors.kafka.group import GroupOffsets
from wallaroo_connectors.kafka.messages import MessageDecoder, payload_of, value_of
from wallaroo_connectors.kafka.options import (
    ClientOptions,
    OptionValue,
    missing_library,
)
from wallaroo_connectors.kafka.positions import NO_EPOCH, Position, is_split, of_split, split_name
from wallaroo_connectors.kafka.reader import DEFAULTS, FIXED, KafkaReader, ReaderSettings
from wallaroo_connectors.kafka.topics import name_mistakes

_log = wallaroo.get_logger("kafka")

R_co = TypeVar("R_co", covariant=True)

Topics: TypeAlias = str | Iterable[str] | re.Pattern[str]
Start: TypeAlias = Literal["earliest", "latest", "committed"] | datetime | Mapping[str, int]
OutOfRange: TypeAlias = Literal["stop", "earliest", "latest"]

STARTS: Final = ("earliest", "latest", "committed")
TOMBSTONES: Final = ("drop", "pass")
OUT_OF_RANGE: Final = ("stop", "earliest", "latest")

_IN_CHECKPOINTS = "positions are in checkpoints; group= names the group for lag monitors"
REFUSED: Final = {
    "group.id": "give group= instead",
    "group.instance.id": "partitions are assigned to workers without a group",
    "partition.assignment.strategy": "partitions are assigned to workers without a group",
    "enable.auto.*": _IN_CHECKPOINTS,
    "auto.commit.*": _IN_CHECKPOINTS,
    "auto.offset.reset": "give start= and on_out_of_range= instead",
    "enable.partition.eof": 'give stop_at="now" for a run that ends',
    "transactional.id": "it is for sinks",
}


class KafkaSourceConfig(wallaroo.PartitionedSource[R_co]):
    """Reads topics of Kafka, each record exactly once with ``--resilience-dir``.

    ``topics`` is a name, a list of names, or a compiled pattern for whole names. ``bootstrap`` is
    ``HOST:PORT`` of one or more brokers, separated by commas. ``decoder`` gets the value of each
    message, or all of it if it is decorated with ``@kafka.message_decoder``::

        KafkaSourceConfig("orders", "b1:9092,b2:9092", decode_order, key="utf-8")

    * ``key``: ``"utf-8"``, ``"bytes"`` or a function of the key's bytes. A state can then be
      partitioned by ``wallaroo.source_key``.
    * ``time``: ``wallaroo.event_time(wallaroo.source_time)`` for the timestamps of the messages, or
      another ``event_time(...)``. By default the time of a record is that of its arrival.
    * ``start``: where the partitions start that exist at the first start: ``"earliest"``,
      ``"latest"``, ``"committed"`` (of ``group``), a ``datetime`` with a time zone, or offsets by
      partition such as ``{"orders-3": 1200}``, others at their earliest message. Partitions that
      are added later are read from their beginning.
    * ``stop_at="now"``: the run ends at the messages that are there when it starts. The next run
      with the same ``--resilience-dir`` goes on behind them.
    * ``tombstones``: ``"drop"`` messages without a value, or ``"pass"`` them to the decoder.
    * ``group``: where offsets are committed for lag monitors; by default ``wallaroo.APPLICATION``,
      and ``""`` for nowhere. They are never read if there is a checkpoint.
    * ``discovery``: how often new partitions, or topics of a pattern, are looked for.
    * ``on_out_of_range``: whether to ``"stop"`` if messages that were not read are gone, or to go
      on at the ``"earliest"`` or ``"latest"`` message.
    * ``options``, ``options_file``: options of librdkafka, and a file with lines ``name=value``.
      ``${env:NAME}`` in a value is replaced by that environment variable when a client is made.
    * ``name``: a part of the ``client.id`` that brokers see; by default the pipeline's name.
    """

    def __init__(  # noqa: PLR0913
        self,
        topics: Topics,
        bootstrap: str,
        decoder: Callable[[Any], R_co] | None,
        *,
        key: str | Callable[[bytes], Any] | None = None,
        time: wallaroo.Time | None = None,
        start: Start = "earliest",
        stop_at: Literal["now"] | None = None,
        tombstones: Literal["drop", "pass"] = "drop",
        group: str | None = None,
        discovery: timedelta = timedelta(seconds=60),
        on_out_of_range: OutOfRange = "stop",
        options: Mapping[str, OptionValue] | None = None,
        options_file: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> None:
        given: Any = topics
        self.topics = [*given] if isinstance(given, list | tuple | set | frozenset) else given
        self.decoder = decoder
        self.key = key
        self.time = time
        # A run with an end would wait for further partitions for ever.
        self.discovery = None if stop_at == "now" else discovery
        self._start = start
        self._start_names = [*start] if isinstance(start, Mapping) else []
        self._stop_at = stop_at
        self._tombstones = tombstones
        self._group = group
        self._on_out_of_range = on_out_of_range
        self._name = name
        self._options = ClientOptions(bootstrap, options, options_file, REFUSED)
        self._cluster = Cluster(self._options)
        self._offsets = GroupOffsets()
        self._client_id = "wallaroo"
        self._reader: KafkaReader | None = None

    def __repr__(self) -> str:
        return f"KafkaSourceConfig({self.topics!r})"

    def identity(self) -> str:
        """Return what positions depend on; each of them also has the id of its topic."""
        if isinstance(self.topics, re.Pattern):
            return f"kafka topics {self.topics.pattern}"
        names = sorted(map(str, self._names()))
        return f"kafka topic{'s' if len(names) > 1 else ''} {', '.join(names)}"

    def _names(self) -> list[Any]:
        """Return the names of the topics, unless they are given by a pattern."""
        given: Any = self.topics
        return given if isinstance(given, list) else [given]

    # Mistakes

    def mistakes(self) -> Iterator[str]:
        """Yield a sentence for each mistake in the arguments."""
        missing = missing_library()
        if missing is not None:
            yield missing
        yield from self._topic_mistakes()
        yield from _start_mistakes(self._start)
        yield from self._start_topics_mistakes()
        yield from _choice("stop_at", self._stop_at, (None, "now"))
        yield from _choice("tombstones", self._tombstones, TOMBSTONES)
        yield from _choice("on_out_of_range", self._on_out_of_range, OUT_OF_RANGE)
        group: object = self._group
        if not isinstance(group, str | None):
            yield f"group is {group!r}; give a text"
        if self._start == "committed" and self._group == "":
            yield 'start="committed" needs a group; give group= a name'
        if not isinstance(self._name, str | None) or self._name == "":
            yield f"name is {self._name!r}; give a text that is not empty"
        yield from self._options.mistakes({**DEFAULTS, **FIXED})

    def _topic_mistakes(self) -> Iterator[str]:
        if isinstance(self.topics, re.Pattern):
            if not isinstance(self.topics.pattern, str):
                yield f"topics is a pattern of bytes, {self.topics.pattern!r}; write it without b"
            return
        names = [self.topics] if isinstance(self.topics, str) else self.topics
        if not isinstance(names, list) or not names:
            yield f"topics is {self.topics!r}; give a name, a list of names, or re.compile(...)"
            return
        yield from name_mistakes(names)
        if len({*map(str, names)}) < len(names):
            yield f"topics has a name twice: {', '.join(map(str, names))}; give each once"

    def _start_topics_mistakes(self) -> Iterator[str]:
        if not isinstance(self._start, Mapping):
            return
        for name in self._start:
            topic = of_split(name)[0] if is_split(name) else None
            if topic is not None and not self._reads(topic):
                yield (
                    f"start names {name!r}, but topics does not name {topic!r}; correct one of them"
                )

    def _reads(self, topic: str) -> bool:
        if isinstance(self.topics, re.Pattern):
            return self.topics.fullmatch(topic) is not None
        return topic in self._names()

    # Partitions and positions

    def read_by(self, application: str, pipeline: str, worker: str, /) -> None:
        """Note who reads, for the names of the group and of clients."""
        if self._group is None:
            self._group = f"wallaroo.{application}"
        self._client_id = f"wallaroo-{application}-{self._name or pipeline}-{worker}"

    def partitions(self) -> list[str]:
        """Return all partitions of the topics."""
        if isinstance(self.topics, re.Pattern):
            found = self._cluster.topics()
            counts = {name: found[name] for name in sorted(found) if self.topics.fullmatch(name)}
            if not counts and self.discovery is None:
                raise wallaroo.SourceError(
                    f"no topic of the cluster matches {self.topics.pattern!r}",
                    "correct topics=, which has to match whole names, or create a topic",
                )
        else:
            counts = {name: self._cluster.partition_count(name) for name in self._names()}
        splits = [split_name(name, number) for name, n in counts.items() for number in range(n)]
        self._warn_of_start(splits)
        return splits

    def _warn_of_start(self, found: list[str]) -> None:
        """Log once if ``start`` names partitions that do not exist."""
        named, self._start_names = self._start_names, []
        for name in set(named) - set(found):
            _log.warning(
                "start names partition %s, which does not exist; if it is added later, it is read "
                "from its beginning",
                name,
            )

    def start(self, partition: str, /) -> list[Any]:
        """Return the first position of a partition, as an offset."""
        topic, number = of_split(partition)
        topic_id = self._cluster.topic_id(topic)
        end = None if self._stop_at is None else self._offset(topic, number, "latest")
        return Position(self._first(topic, number), NO_EPOCH, topic_id, end).packed()

    def resume(self, partition: str, position: Any, /) -> list[Any] | None:
        """Return where a run goes on: where the one before was, up to another end."""
        before = Position.of(position)
        if self._stop_at is None and before.end is None:
            return None
        topic, number = of_split(partition)
        end = None if self._stop_at is None else self._offset(topic, number, "latest")
        return replace(before, end=end).packed()

    def _first(self, topic: str, number: int) -> int:
        start = self._start
        if isinstance(start, Mapping):
            given = start.get(split_name(topic, number))
            earliest = self._offset(topic, number, "earliest")
            return earliest if given is None else self._checked(topic, number, given, earliest)
        if isinstance(start, datetime):
            offset = self._offset(topic, number, int(start.timestamp() * 1000))
            return self._offset(topic, number, "latest") if offset < 0 else offset
        if start == "committed":
            offset = self._committed(topic, number)
            return self._offset(topic, number, "earliest") if offset < 0 else offset
        return self._offset(topic, number, start)

    def _checked(self, topic: str, number: int, given: int, earliest: int) -> int:
        latest = self._cluster.offset(topic, number, "latest", "read_uncommitted")
        if self._on_out_of_range == "stop" and not earliest <= given <= latest:
            raise wallaroo.SourceError(
                f"start gives offset {given} to partition {split_name(topic, number)}, which has "
                f"{earliest} to {latest}",
                "correct start=, or the brokers in bootstrap=",
            )
        return given

    def _offset(self, topic: str, number: int, where: str | int) -> int:
        return self._cluster.offset(topic, number, where, "read_committed")

    def _committed(self, topic: str, number: int) -> int:
        """Return the offset that the group has committed; negative if it has none."""
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        ours = {"group.id": self._group, "log_level": 0}
        consumer = new_client(Consumer, self._options, ours)
        try:
            [place] = consumer.committed([TopicPartition(topic, number)], timeout=5)
        except KafkaException as error:
            raise error_of(error.args[0], self._options, topic) from error
        finally:
            consumer.close()
        if place.error is not None:
            raise error_of(place.error, self._options, topic)
        return int(place.offset)

    def committed(self, positions: Mapping[str, Any], /) -> None:
        """Commit the offsets of a checkpoint to the group."""
        if self._group:
            self._offsets.note({of_split(name): at[0] for name, at in positions.items()})

    def end(self, partition: str, /) -> int | None:
        """Return where the partition ends, as its broker said last."""
        return None if self._reader is None else self._reader.end(partition)

    def held(self, partition: str, /) -> str | None:
        """Return why messages that are there cannot be read; ``None`` if they can."""
        return None if self._reader is None else self._reader.held(partition)

    def reader(self) -> KafkaReader:
        """Return a reader of partitions of these topics."""
        is_whole = isinstance(self.decoder, MessageDecoder)
        self._reader = KafkaReader(
            ReaderSettings(
                options=self._options,
                cluster=self._cluster,
                offsets=self._offsets,
                group=self._group or "wallaroo",
                client_id=self._client_id,
                fields=payload_of if is_whole else value_of,
                prepare=getattr(self.decoder, "prepare", None),
                has_keys=self.key is not None,
                keeps_tombstones=self._tombstones == "pass",
                on_out_of_range=self._on_out_of_range,
            )
        )
        return self._reader


def _choice(argument: str, given: object, choices: tuple[object, ...]) -> Iterator[str]:
    if given not in choices:
        yield f"{argument} is {given!r}; give {' or '.join(map(repr, choices))}"


def _start_mistakes(start: object) -> Iterator[str]:
    if isinstance(start, datetime):
        if start.tzinfo is None:
            yield "start is a datetime without a time zone; give it one, such as timezone.utc"
    elif isinstance(start, Mapping):
        for name, offset in start.items():
            if type(offset) is not int or offset < 0:
                yield f"start of {name!r} is {offset!r}; give an offset"
            if not is_split(name):
                yield f"start names {name!r}; give TOPIC-PARTITION, such as 'orders-3'"
    elif start not in STARTS:
        yield f"start is {start!r}; give {', '.join(map(repr, STARTS))}, a datetime or offsets"
