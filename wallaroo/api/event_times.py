"""Where the times of records come from, and the rules of the clock of a source.

No call raises: mistakes are kept and reported together by ``build()``.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, ParamSpec, TypeAlias, final

from wallaroo.api.decorated import Decorated, is_decorated
from wallaroo.api.inspection import (
    Problem,
    caller_place,
    named,
    read_duration,
)
from wallaroo.durations import Duration
from wallaroo.errors import WallarooParameterError
from wallaroo.timing.instants import TimestampUnit
from wallaroo.timing.spec import (
    IDLE_AFTER_DEFAULT_NS,
    EventTime,
    IngestTime,
    SourceTime,
    WhenQuiet,
)
from wallaroo.topology.graph import SourceLocation
from wallaroo.type_variables import Q_co

P = ParamSpec("P")

_UNITS = {unit.value: unit for unit in TimestampUnit}
_WHEN_QUIET = {each.value: each for each in WhenQuiet}


class Timestamp(Decorated[P, Q_co]):
    """A function that finds the time of a record."""

    decorator: ClassVar[str] = "@wallaroo.timestamp(unit)"
    arguments: ClassVar[tuple[str, ...]] = ("record",)

    def __init__(self, function: Callable[P, Q_co], unit: object) -> None:
        super().__init__(function, _choice_problems("the unit of @timestamp", unit, _UNITS))
        self.unit = unit


@final
class SourceTimestamp:
    """The time that a source gives with a record; ``source_time`` is the only object."""

    def __repr__(self) -> str:
        return "wallaroo.source_time"


source_time: SourceTimestamp = SourceTimestamp()
"""Goes where a timestamp function goes: records have the times that their source gives.

These are ``Batch.times`` and ``Delivery.time`` of a connector, and a Kafka message's timestamp.
"""


def timestamp(unit: str) -> Callable[[Callable[P, Q_co]], Timestamp[P, Q_co]]:
    """Make a timestamp function of ``f(record)``, which returns when the record happened.

    ``unit`` says what it returns: ``"ns"``, ``"us"``, ``"ms"`` or ``"s"`` since 1970 UTC, as an
    integer or a float, or ``"datetime"``, one with a time zone. It is pure: the same record always
    has the same time. A record for which it returns anything else is a dead letter::

        @wallaroo.timestamp("ms")
        def clicked_at(click):
            return click["at"]
    """

    def decorate(function: Callable[P, Q_co]) -> Timestamp[P, Q_co]:
        return Timestamp(function, unit)

    return decorate


class Time:
    """Where the times of records come from; ``event_time`` and ``ingest_time`` make it."""

    def __init__(self, times: SourceTime, mistakes: tuple[str, ...]) -> None:
        self._times = times
        self.mistakes = mistakes
        """A sentence for each mistake, with place and remedy."""

    def __repr__(self) -> str:
        return f"<time {self._times}>"

    @property
    def is_of_source(self) -> bool:
        """Whether the source gives them."""
        times = self._times
        return isinstance(times, EventTime) and times.timestamp is None and not self.mistakes

    def times(self) -> SourceTime:
        """Return the specification; raises ``WallarooParameterError`` with all mistakes."""
        if self.mistakes:
            raise WallarooParameterError(self.mistakes)
        return self._times


def event_time(
    timestamp: "Timestamp[Any, Any] | SourceTimestamp",
    *,
    out_of_order: Duration = 0,
    idle_after: Duration = IDLE_AFTER_DEFAULT_NS,
    when_quiet: str = "wait",
    settle: Duration = 0,
    ahead_max: Duration | None = None,
    align: Duration | None = None,
) -> Time:
    """Records have the time at which they happened.

    Records of one connection, file or partition are late by at most ``out_of_order``. One that is
    silent holds the clock back for ``idle_after``. When all are silent the clock waits, or with
    ``when_quiet="advance"`` goes on with the wall clock. ``settle`` is how long the clock waits for
    other senders after the first record. A record that is further than ``ahead_max`` ahead of its
    arrival is a dead letter. A source that is further than ``align`` ahead of the slowest one is
    not read until that has caught up.
    """
    place = caller_place()
    length = _Lengths("event_time()")
    times = EventTime(
        timestamp=_function_of(timestamp),
        unit=_unit_of(timestamp),
        out_of_order_ns=length.read("out_of_order", out_of_order),
        idle_after_ns=length.read("idle_after", idle_after, minimum_ns=1),
        when_quiet=_WHEN_QUIET.get(str(when_quiet), WhenQuiet.WAIT),
        settle_ns=length.read("settle", settle),
        ahead_max_ns=length.read_or_none("ahead_max", ahead_max),
        align_ns=length.read_or_none("align", align),
    )
    problems = [
        *_timestamp_problems(timestamp),
        *_choice_problems("when_quiet of event_time()", when_quiet, _WHEN_QUIET),
        *length.problems,
    ]
    own = timestamp.mistakes if isinstance(timestamp, Timestamp) else ()
    return Time(times, (*own, *(each.at(place) for each in problems)))


def ingest_time(*, idle_after: Duration = IDLE_AFTER_DEFAULT_NS) -> Time:
    """Records have the time at which they were read; without any ``time`` it is the same.

    Windows close by the wall clock, also if no further record arrives.
    """
    place = caller_place()
    length = _Lengths("ingest_time()")
    times = IngestTime(idle_after_ns=length.read("idle_after", idle_after, minimum_ns=1))
    return Time(times, tuple(each.at(place) for each in length.problems))


GivenTime: TypeAlias = Time | None
"""The ``time`` of a source's configuration."""


def time_mistakes(
    config: str, time: object, place: SourceLocation, *, gives_times: bool
) -> tuple[str, ...]:
    """Return the mistakes of the ``time`` of a configuration.

    ``gives_times`` says whether its source gives a time with each record.
    """
    if isinstance(time, Time) and time.is_of_source and not gives_times:
        what = f"the time of {config} is event_time(source_time), and this source gives no times"
        remedy = "give a function that is decorated with @wallaroo.timestamp(unit)"
        return (*time.mistakes, Problem(what, remedy).at(place))
    if time is None or isinstance(time, Time):
        return () if time is None else time.mistakes
    problem = Problem(
        f"the time of {config} is {named(time)}", "give event_time(...) or ingest_time()"
    )
    return (problem.at(place),)


def times_of(time: Any) -> SourceTime | None:
    """Return what a ``time`` without mistakes says."""
    return None if time is None else time.times()


def read_time(time: object, place: SourceLocation) -> SourceTime:
    """Read the argument of ``with_time()``; raises ``WallarooParameterError`` if it is wrong."""
    if isinstance(time, Time):
        return time.times()
    what = f"with_time() has {named(time)}"
    raise WallarooParameterError(Problem(what, "give event_time(...) or ingest_time()").at(place))


class _Lengths:
    """Reads durations of one call, and keeps what is wrong with them."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.problems: list[Problem] = []

    def read(self, name: str, duration: object, *, minimum_ns: int = 0) -> int:
        """Return a duration in nanoseconds."""
        what = f"{name} of {self._method}"
        length_ns, problems = read_duration(what, duration, minimum_ns=minimum_ns)
        self.problems += problems
        return length_ns

    def read_or_none(self, name: str, duration: object) -> int | None:
        """Return a duration in nanoseconds, or ``None`` if none is given."""
        return None if duration is None else self.read(name, duration)


def _function_of(given: object) -> Callable[[Any], Any] | None:
    if isinstance(given, Timestamp) and is_decorated(given):
        return given.function
    return None


def _unit_of(given: object) -> TimestampUnit:
    unit = given.unit if isinstance(given, Timestamp) else "s"
    return _UNITS.get(str(unit), TimestampUnit.SECONDS)


def _timestamp_problems(given: object) -> Iterator[Problem]:
    if isinstance(given, Timestamp | SourceTimestamp):
        return
    yield Problem(
        f"the timestamp of event_time() is {named(given)}",
        'decorate a function of the record with @wallaroo.timestamp("ms"), or give source_time',
    )


def _choice_problems(what: str, given: object, known: dict[str, Any]) -> Iterator[Problem]:
    if not isinstance(given, str) or given not in known:
        names = ", ".join(f'"{each}"' for each in known)
        yield Problem(f"{what} is {named(given)}", f"give one of {names}")
