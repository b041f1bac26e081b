"""What authors of sinks write: a class with two or three methods.

See `wallaroo.connectors.source_classes` for what the runtime does, and for who calls a method in
which thread.
"""

from collections.abc import Awaitable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from wallaroo.connectors import base
from wallaroo.connectors.authored import Authored
from wallaroo.connectors.base import Promise, SinkConfig
from wallaroo.connectors.class_mistakes import (
    choice_mistakes,
    method_mistakes,
    missing_methods,
    sink_mistakes,
    told_mistakes,
)
from wallaroo.connectors.custom_sinks import Custom
from wallaroo.connectors.source_classes import Done
from wallaroo.type_variables import R_contra

OnUnknown: TypeAlias = Literal["again", "stop"]
ON_UNKNOWN: Final = ("again", "stop")

_Calls = tuple[tuple[str, tuple[str, ...]], ...]
"""Methods, and the arguments with which the runtime calls each."""


class AuthoredSink(Authored, SinkConfig[R_contra]):
    """What the classes of sinks have in common."""

    encoder: Any = None
    """If set, ``write`` gets its results; one that is ``None`` is not written."""
    name: str | None = None
    """The sink's name in dead letters, logs and metrics; by default ``sink N``."""

    def close(self) -> Done:
        """Disconnect."""
        return None

    def _all_mistakes(
        self, kind: type, required: Iterable[str], calls: _Calls, place: str
    ) -> Iterator[str]:
        yield from missing_methods(self, kind, required, place)
        yield from method_mistakes(self, calls, place)
        yield from told_mistakes(self, place)
        yield from sink_mistakes(self, place)


class Sink(AuthoredSink[R_contra]):
    """A sink that gets each record at least once. Write ``write``.

    If ``write`` raises, the sink is closed, opened again after a pause, and the same records are
    written again.
    """

    def open(self) -> Done:
        """Connect."""
        return None

    def write(self, records: list[Any], /) -> Done:
        """Write these records; return when the other side has them."""
        raise NotImplementedError

    def sink(self) -> base.Sink:
        """Return the sink for the plan, around this object."""
        return Custom(self, Promise.AT_LEAST_ONCE, "wallaroo_workers.sinks.connector:new_runner")

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake, in methods that are missing or in the settings."""
        return self._all_mistakes(Sink, ("write",), _SINK_METHODS, place)


class OnceSink(AuthoredSink[R_contra]):
    """A sink that gets each record exactly once: it keeps a number beside the records.

    Write ``open``, ``last`` and ``write``. A *slot* names the worker's part of this sink in this
    store of checkpoints; one process at a time has it open.
    """

    on_unknown: OnUnknown = "again"
    """What to do if the target has no number for a slot that had batches before: write the last
    batch ``"again"``, or ``"stop"`` the run."""

    def open(self, slot: str, /) -> Done:
        """Connect. When it returns, no write of an earlier opener of this slot can take effect."""
        raise NotImplementedError

    def last(self) -> int | Awaitable[int | None] | None:
        """Return the number of the last batch of this slot; ``None`` if there is none."""
        raise NotImplementedError

    def write(self, records: list[Any], number: int, /) -> Done:
        """Write these records and the slot's number in one step: both, or nothing."""
        raise NotImplementedError

    def sink(self) -> base.Sink:
        """Return the sink for the plan, around this object."""
        return Custom(self, Promise.OUTBOX, "wallaroo_workers.sinks.once:new_runner")

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake, in methods that are missing or in the settings."""
        yield from self._all_mistakes(OnceSink, ("open", "last", "write"), _ONCE_METHODS, place)
        yield from choice_mistakes(self, "on_unknown", ON_UNKNOWN, place)


class TwoPhaseSink(AuthoredSink[R_contra]):
    """A sink that gets each record exactly once, by prepared work that outlives its process.

    ``prepare`` is called at the barrier. What the checkpoint names is committed, perhaps by another
    process and more than once; everything else that is prepared is aborted. If a method raises, the
    sink is closed and opened again, and what is not prepared is written again. Many rows may be
    prepared in parts before the barrier.
    """

    def open(self, slot: str, /) -> Done:
        """Connect, as for `OnceSink`."""
        raise NotImplementedError

    def write(self, records: list[Any], /) -> Done:
        """Write these records to what ``prepare`` will prepare."""
        raise NotImplementedError

    def prepare(self) -> bytes | Awaitable[bytes | None] | None:
        """Make what was written survive a crash; return its token, or ``None`` if nothing was."""
        raise NotImplementedError

    def commit(self, token: bytes, /) -> Done:
        """Make this visible. It may be called more than once, by any process."""
        raise NotImplementedError

    def abort(self, token: bytes, /) -> Done:
        """Give this up. It may be called more than once."""
        raise NotImplementedError

    def prepared(self) -> list[bytes] | Awaitable[list[bytes]]:
        """Return the tokens of this slot that are prepared, and neither committed nor aborted."""
        raise NotImplementedError

    def sink(self) -> base.Sink:
        """Return the sink for the plan, around this object."""
        return Custom(self, Promise.TWO_PHASES, "wallaroo_workers.sinks.two_phase:new_runner")

    def mistakes_at(self, place: str, /) -> Iterator[str]:
        """Yield a sentence for each mistake, in methods that are missing or in the settings."""
        required = ("open", "write", "prepare", "commit", "abort", "prepared")
        return self._all_mistakes(TwoPhaseSink, required, _TWO_PHASE_METHODS, place)


class SinkError(Exception):
    """An error of a sink that cannot get better by trying again: it ends the run.

    ``hint`` says what to do.
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Rejected(Exception):
    """The target refuses these records: index in the batch to reason. Nothing was written.

    They become dead letters, and the rest is written again without them.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("records were refused")
        # The runtime says what is wrong with them: it knows the class, the method and the rows.
        self.reasons = reasons


_SINK_METHODS: _Calls = (("open", ()), ("write", ("records",)), ("close", ()))
_ONCE_METHODS: _Calls = (
    ("open", ("slot",)),
    ("last", ()),
    ("write", ("records", "number")),
    ("close", ()),
)
_TWO_PHASE_METHODS: _Calls = (
    ("open", ("slot",)),
    ("write", ("records",)),
    ("prepare", ()),
    ("commit", ("token",)),
    ("abort", ("token",)),
    ("prepared", ()),
    ("close", ()),
)
