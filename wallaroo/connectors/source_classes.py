"""What authors of connectors write: sources with positions or acknowledgements, and sinks.

An author subclasses one of five classes and writes two or three methods. The runtime does the
rest: it assigns partitions to workers, keeps positions in checkpoints, moves them when the cluster
grows or shrinks, holds a source back if the application is slower, and writes results again after a
crash.

| class | what the author promises | what users get with `--resilience-dir` |
|---|---|---|
| `PartitionedSource` | the same position gives the same records again | exactly once |
| `PushedSource` | what is not acknowledged is delivered again | exactly once from the journal on |
| `Sink` | `write` returns when the other side has the records | at least once |
| `OnceSink` | records and number are written in one step, or not at all | exactly once |
| `TwoPhaseSink` | what is prepared can be committed by any process | exactly once |

A method that is a coroutine (or an asynchronous generator) runs on the worker's event loop. Any
other method runs in a thread of the connector's own, and always in the same one, so clients that
block are fine. Constructors run in every process that imports the application: they must not open
anything.
"""

import inspect
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, ClassVar, Generic, Protocol, TypeAlias

from wallaroo.connectors import base
from wallaroo.connectors.authored import Authored
from wallaroo.connectors.base import SourceConfig
from wallaroo.connectors.class_mistakes import (
    missing_methods,
    signature_mistakes,
    told_mistakes,
)
from wallaroo.connectors.custom import Partitioned, Pushed, unbound_decoder, unbound_value
from wallaroo.connectors.keyed_records import SOURCE_KEY_FORMS
from wallaroo.describing import a_type, text_of
from wallaroo.durations import Duration, duration_ns
from wallaroo.type_variables import R_co

Done: TypeAlias = Awaitable[None] | None
"""What a method returns that may be a coroutine."""

BATCH_RECORDS_MAX = 2_000
"""A batch with more records is refused, as is one of more than ``BATCH_BYTES_MAX``."""
BATCH_BYTES_MAX = 1 << 20

DISCOVERY_SHORTEST_NS = 1_000_000
"""A shorter one is a number of seconds by mistake: an integer counts nanoseconds."""

RUNS = ("everywhere", "once")
"""Values of ``PushedSource.runs``."""


class Batch(Generic[R_co]):
    """Records of one partition, in their order.

    ``position`` is the position after the last record, as ``read`` would get it; anything that
    msgpack packs. ``keys``, ``times`` (Unix seconds) and ``offsets`` have one item for each record.
    With ``offsets``, integers, the position after a record is its offset + 1. Then ``position`` may
    be a list whose first item is the offset after the last record; its other items belong to the
    position after each of these records. ``is_caught_up`` says that the partition has no more
    records for now.
    """

    __slots__ = ("is_caught_up", "keys", "offsets", "position", "records", "times")

    def __init__(
        self,
        records: Sequence[R_co],
        position: Any = None,
        *,
        keys: Sequence[Any] | None = None,
        times: Sequence[float] | None = None,
        offsets: Sequence[int] | None = None,
        is_caught_up: bool = False,
    ) -> None:
        self.records = records
        self.position = position
        self.keys = keys
        self.times = times
        self.offsets = offsets
        self.is_caught_up = is_caught_up


class Reader(Protocol):
    """Reads many partitions over one connection; a worker has one for each source.

    If ``PartitionedSource.reader`` is a coroutine, these methods may be coroutines, too, and
    ``poll`` may be an asynchronous generator.
    """

    def add(self, partition: str, position: Any, /) -> None:
        """Read this partition from now on, from ``position``; ``None`` is its beginning."""
        ...

    def remove(self, partition: str, /) -> None:
        """Read this partition no more."""
        ...

    def poll(self, timeout_s: float, /) -> Iterable[tuple[str, Batch[Any] | None]]:
        """Return what is there; wait for at most ``timeout_s`` seconds if nothing is.

        ``None`` instead of a batch says that this partition has ended.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class PartitionedSource(Authored, SourceConfig[R_co]):
    """A source whose records have positions: any of its partitions can be read again from one.

    Write ``partitions`` and ``read``::

        class Numbers(wallaroo.PartitionedSource):
            def partitions(self):
                return ["even", "odd"]

            def read(self, partition, position):
                n = (0 if partition == "even" else 1) if position is None else position
                while True:
                    records = list(range(n, n + 200, 2))
                    n += 200
                    yield wallaroo.Batch(records, position=n)

    An object of the class goes where a ``SourceConfig`` goes.
    """

    discovery: Duration | None = None
    """How often ``partitions`` is called again; ``None`` asks once, at the start."""
    decoder: Any = None
    """If set, records are payloads, which it decodes; an error is a dead letter."""
    key: Any = None
    """How the source's keys become keys of records: ``"utf-8"``, ``"bytes"``, or a function.

    If set, each batch has ``keys``, and a state may be partitioned by ``wallaroo.source_key``.
    """
    time: Any = None
    """Where the times of records are from, such as ``wallaroo.event_time(wallaroo.source_time)``;
    ``None``: when they were read."""

    def read_by(self, application: str, pipeline: str, worker: str, /) -> None:
        """Note who reads, such as for the names of clients.

        It is called in each worker before anything is read, and again after a recovery.
        """

    def partitions(self) -> Iterable[str]:
        """Return the names of all partitions. A partition is never withdrawn."""
        return [""]

    def read(
        self, partition: str, position: Any, /
    ) -> Iterator[Batch[R_co] | tuple[R_co, Any] | None] | AsyncIterator[Any]:
        """Yield what follows ``position``: batches, or pairs of a record and its position.

        ``position`` is one that a batch gave, or ``None`` for the beginning. The same position
        gives the same records in the same order. ``None`` means that nothing is there now, so
        other partitions get a turn. The partition has ended when the generator returns.
        """
        raise NotImplementedError

    def start(self, partition: str, /) -> Any:
        """Return the position at which a partition begins that was there at the first discovery.

        Partitions found later are read from their beginning. It is called once in the partition's
        life, so that "now" cannot become another moment after a crash.
        """
        return None

    def resume(self, partition: str, position: Any, /) -> Any:
        """Return where this run reads on a partition that an earlier run has read.

        ``position`` is where the earlier run was, or where the partition had ended. ``None`` goes
        on exactly there, and what has ended stays so. Return ``position``, or one that differs in
        what is not the place, and the partition is read on, also if it had ended. It is called once
        for each partition in a run that starts from a checkpoint of an earlier run, and again after
        a loss only if this run has no checkpoint yet.
        """
        return None

    def committed(self, positions: Mapping[str, Any], /) -> Done:
        """A checkpoint with these positions, by partition, is committed."""
        return None

    def end(self, partition: str, /) -> int | None:
        """Return where the partition ends now, in the unit of its offsets."""
        return None

    def held(self, partition: str, /) -> str | None:
        """Return why records that are there cannot be read now; ``None`` if they can.

        Users see it as the reason why a partition does not go on. It is asked with ``end``, so
        write both.
        """
        return None

    def reader(self) -> Reader | Awaitable[Any] | None:
        """Return a reader for all partitions of a worker; ``None`` calls ``read`` of each."""
        return None

    def source(self) -> base.Source:
        """Return the source for the plan, around this object."""
        return Partitioned(self)

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake, in methods that are missing or in the settings."""
        given = type(self)
        if given.reader is PartitionedSource.reader:
            yield from missing_methods(self, PartitionedSource, ("read",), place)
            if inspect.iscoroutinefunction(self.read):
                what = f"read of {given.__name__} is a coroutine, not a generator"
                yield f"{place}: {what}; yield batches in it"
        yield from signature_mistakes(self, _PARTITIONED_CALLS, place)
        yield from _discovery_mistakes(self, place)
        yield from _source_mistakes(self, place)


_PARTITIONED_CALLS = (
    ("partitions", ()),
    ("read", ("partition", "position")),
    ("start", ("partition",)),
    ("resume", ("partition", "position")),
    ("committed", ("positions",)),
    ("end", ("partition",)),
    ("held", ("partition",)),
    ("reader", ()),
)


def _discovery_mistakes(given: PartitionedSource[Any], place: str) -> Iterator[str]:
    name, every = type(given).__name__, given.discovery
    if hasattr(given, "discovery_s"):
        yield (
            f"{place}: discovery_s of {name} is not read; set discovery, a duration such as "
            "wallaroo.seconds(5)"
        )
    if type(every) is int and 0 < every < DISCOVERY_SHORTEST_NS:
        yield (
            f"{place}: discovery of {name} is {every}, and an integer counts nanoseconds; give "
            f"wallaroo.seconds({every})"
        )
    elif every is not None:
        try:
            duration_ns(f"discovery of {name}", every, minimum_ns=DISCOVERY_SHORTEST_NS)
        except (TypeError, ValueError) as error:
            yield f"{place}: {error}"


class Delivery(Generic[R_co]):
    """A record that a `PushedSource` received; ``tag`` is what ``ack`` is to get for it."""

    __slots__ = ("key", "record", "tag", "time")

    def __init__(
        self, record: R_co, tag: Any = None, *, key: Any = None, time: float | None = None
    ) -> None:
        self.record = record
        self.tag = tag
        self.key = key
        self.time = time


class PushedSource(Authored, SourceConfig[R_co]):
    """A source that another system pushes, and which delivers again what was not acknowledged.

    Write ``receive`` and ``ack``. With ``--resilience-dir``, ``ack`` is called when the deliveries
    are in the journal; without, when their results are handed to the sinks::

        class Inbox(wallaroo.PushedSource):
            async def receive(self):
                async for message in self.queue:
                    yield wallaroo.Delivery(message.body, tag=message)

            async def ack(self, tags):
                for message in tags:
                    await message.ack()
    """

    runs: ClassVar[str] = "everywhere"
    """``"everywhere"``, or ``"once"`` for a source that one worker alone may run."""
    reads_stdin: ClassVar[bool] = False
    """Whether descriptor 0 is to be the standard input of the command; otherwise it is empty.

    Only workers on the host of the command have it.
    """
    decoder: Any = None
    """If set, records are payloads, which it decodes; an error is a dead letter."""
    key: Any = None
    """As for `PartitionedSource`."""
    time: Any = None
    """As for `PartitionedSource`."""

    def open(self) -> Done:
        """Connect. It is called again, after a pause, if ``receive`` fails."""
        return None

    def receive(self) -> AsyncIterator[Delivery[R_co] | None] | Iterator[Delivery[R_co] | None]:
        """Yield what arrives; the runtime asks no more while it has enough."""
        raise NotImplementedError

    def ack(self, tags: Sequence[Any], /) -> Done:
        """These deliveries are safe."""
        raise NotImplementedError

    def close(self) -> Done:
        """Disconnect. It is called once for each ``open``, also for one that raised."""
        return None

    def source(self) -> base.Source:
        """Return the source for the plan, around this object."""
        return Pushed(self)

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake, in methods that are missing or in the settings."""
        yield from missing_methods(self, PushedSource, ("receive", "ack"), place)
        yield from signature_mistakes(self, _PUSHED_CALLS, place)
        if self.runs not in RUNS:
            what = f"runs of {type(self).__name__} is {self.runs!r}"
            yield f'{place}: {what}; give "everywhere" or "once"'
        yield from _source_mistakes(self, place)


_PUSHED_CALLS = (("open", ()), ("receive", ()), ("ack", ("tags",)), ("close", ()))


class SourceError(Exception):
    """An error of a source that cannot get better by trying again.

    With a ``partition`` it ends that partition, without it ends the run. ``hint`` says what to do.
    """

    def __init__(self, what: str, hint: str | None = None, partition: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.partition = partition


def _source_mistakes(given: Any, place: str) -> Iterator[str]:
    decoder: Any = unbound_decoder(given)
    if decoder is not None and not callable(decoder):
        what = f"the decoder of {type(given).__name__} is {a_type(decoder)}"
        yield f"{place}: {what}; give a function of a payload, or None"
    key: Any = unbound_value(given, "key")
    if key is not None and key not in SOURCE_KEY_FORMS and not callable(key):
        what = f"the key of {type(given).__name__} is {text_of(key)}"
        yield f'{place}: {what}; give "utf-8", "bytes", or a function of a key'
    yield from getattr(given.decoder, "mistakes", ())
    if given.time is not None and not callable(getattr(given.time, "times", None)):
        what = f"the time of {type(given).__name__} is {a_type(given.time)}"
        yield f"{place}: {what}; give wallaroo.event_time(...) or wallaroo.ingest_time()"
    yield from getattr(given.time, "mistakes", ())
    yield from told_mistakes(given, place)
