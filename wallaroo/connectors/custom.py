"""Sources that authors write with the SDK, as values of the plan."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wallaroo.connectors.base import Assignment, Source
from wallaroo.connectors.keyed_records import SourceKey
from wallaroo.connectors.pushed_frames import unpack_deliveries
from wallaroo.durations import duration_ns
from wallaroo.function_names import value_text
from wallaroo.timing.spec import SourceTime

if TYPE_CHECKING:
    # These classes make the values below.
    from wallaroo.connectors.source_classes import PartitionedSource, PushedSource


@dataclass(frozen=True, slots=True)
class CustomSource(Source):
    """A source around the author's object."""

    source: "PartitionedSource[Any] | PushedSource[Any]"

    @property
    def kind(self) -> str:
        """The author's class."""
        return type(self.source).__name__

    @property
    def decoder(self) -> Callable[[Any], Any] | None:
        """The author's decoder."""
        return unbound_decoder(self.source)

    @property
    def key(self) -> SourceKey | None:
        """How the author's keys become keys of records."""
        return author_key(self.source)

    @property
    def time(self) -> SourceTime | None:
        """What the author says."""
        time: SourceTime | None = None if self.source.time is None else self.source.time.times()
        return time

    def identity(self) -> str:
        """Return what positions or the journal depend on, and the decoder."""
        key = "" if self.key is None else f", key={value_text(self.key)}"
        identity = self.source.identity()
        return f"{self.kind}(identity={identity!r}, decode={value_text(self.decoder)}{key})"


@dataclass(frozen=True, slots=True)
class Partitioned(CustomSource):
    """A source with positions; its partitions are the splits that the coordinator assigns."""

    source: "PartitionedSource[Any]"

    assignment = Assignment.BY_SPLIT
    runner = "wallaroo_workers.sources.partitioned:new_runner"

    @property
    def ends(self) -> bool:
        """It ends with its last partition, unless it looks for further ones."""
        return self.source.discovery is None

    def describe(self) -> str:
        """Return one line for the plan."""
        parts = [f"partitioned source {self.source.identity()}"]
        if self.key is not None:
            parts.append(f"key {value_text(self.key)}")
        if self.source.discovery is not None:
            every_s = duration_ns("discovery", self.source.discovery) / 1e9
            parts.append(f"discovery every {every_s:g} s")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Pushed(CustomSource):
    """A source that is acknowledged; what it delivers is in the journal before that."""

    source: "PushedSource[Any]"

    runner = "wallaroo_workers.sources.pushed:new_runner"
    keeps_journal = True
    ends = True

    @property
    def assignment(self) -> Assignment:
        """Every worker, unless its author says that one alone may run it."""
        return Assignment.ONE_WORKER if self.source.runs == "once" else Assignment.EVERY_WORKER

    @property
    def reads_stdin(self) -> bool:
        """What the author says."""
        return self.source.reads_stdin

    def journalled(self, frames: bytes) -> list[Any]:
        """Return the records, or the payloads, of these deliveries."""
        return unpack_deliveries(frames)

    def describe(self) -> str:
        """Return one line for the plan."""
        once = ", on one worker" if self.assignment is Assignment.ONE_WORKER else ""
        return f"pushed source {self.source.identity()}{once}"


def unbound_decoder(source: Any) -> Callable[[Any], Any] | None:
    """Return the function that decodes a payload; ``None`` if the source has no decoder."""
    return unbound(source, "decoder", "decode")


def unbound(given: Any, attribute: str, method: str) -> Callable[[Any], Any] | None:
    """Return the function in an attribute of a connector; ``None`` if there is none.

    Of a decorated function the chain calls what is within, which is cheaper. An object of another
    kind has ``method``.
    """
    function = unbound_value(given, attribute)
    if callable(getattr(function, method, None)):
        function = getattr(function, "function", getattr(function, method))
    found: Callable[[Any], Any] | None = function
    return found


def unbound_value(given: Any, attribute: str) -> Any:
    """Return the value of an attribute of a connector.

    A function that is an attribute of the class is not bound to the connector: it gets its argument
    alone.
    """
    value = inspect.getattr_static(given, attribute, None)
    if isinstance(value, staticmethod):
        return value.__func__
    # Otherwise it is a property, a class method, an object with a method, a text, or None.
    return value if callable(value) else getattr(given, attribute)


def author_key(source: Any) -> SourceKey | None:
    """Return how a source's keys become keys of records."""
    key: SourceKey | None = unbound_value(source, "key")
    return key
