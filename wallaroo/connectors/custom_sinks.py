"""Sinks that authors write, as values of the plan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from wallaroo.connectors.base import Promise
from wallaroo.connectors.custom import unbound
from wallaroo.function_names import value_text

if TYPE_CHECKING:
    # These classes make the value below.
    from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink


@dataclass(frozen=True, slots=True)
class Custom:
    """A sink around the author's object."""

    takes_bytes: ClassVar[bool] = False
    path: ClassVar[None] = None
    label: ClassVar[None] = None

    sink: "Sink[Any] | OnceSink[Any] | TwoPhaseSink[Any]"
    promise: Promise
    runner: str
    """What runs a sink that promises this."""

    @property
    def kind(self) -> str:
        """The author's class."""
        return type(self.sink).__name__

    @property
    def name(self) -> str | None:
        """The name that the author's object has, if any."""
        return self.sink.name

    @property
    def encode(self) -> Callable[[Any], Any] | None:
        """The author's encoder, if any."""
        return unbound(self.sink, "encoder", "encode")

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"sink {self.sink.identity()}, {self.promise.value}"

    def identity(self) -> str:
        """Return what the author says, and the encoder."""
        settings = f"identity={self.sink.identity()!r}, encode={value_text(self.encode)}"
        return f"{_PREFIXES[self.promise]}({settings})"


_PREFIXES = {
    Promise.AT_LEAST_ONCE: "Sink",
    Promise.OUTBOX: "OnceSink",
    Promise.TWO_PHASES: "TwoPhaseSink",
}
"""What outlines call a sink, so that they tell whether checkpoints refer to its position."""
