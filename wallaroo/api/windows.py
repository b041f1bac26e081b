"""Windows: which spans of time, or of records, an aggregation is computed over.

A maker, such as ``tumbling``, starts; ``with_...`` and other methods say more; ``over`` says what
is computed and ends. No call raises: mistakes are kept and reported together by ``build()``, those
of the aggregation included.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Generic, Self, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wallaroo.api.aggregations import (
    Aggregation,
    AggregationFunction,
    BuiltInAggregation,
    read_aggregation,
)
from wallaroo.api.inspection import (
    Problem,
    caller_place,
    function_problems,
    name_problems,
    named,
    read_duration,
)
from wallaroo.api.roles import AggregationWithOutput, AggregationWithWindowOutput
from wallaroo.durations import Duration
from wallaroo.errors import WallarooParameterError
from wallaroo.timing.window_spec import (
    AggregationSpec,
    CalendarUnit,
    CalendarWindows,
    CountWindows,
    EphemeralWindows,
    Firing,
    FixedWindows,
    GlobalWindows,
    LatePolicy,
    Result,
    SessionWindows,
    Windows,
    WindowSpec,
)
from wallaroo.topology.graph import SourceLocation
from wallaroo.type_variables import Q, Q_co, R, R_contra, S

_POLICIES = ", ".join(f'"{policy.value}"' for policy in LatePolicy)
_UNITS = ", ".join(f'"{unit.value}"' for unit in CalendarUnit)


class WindowStep(Generic[R_contra, Q_co]):
    """Windows over an aggregation: a step of a pipeline.

    For type checkers, a ``WindowStep[Click, Result[int]]`` takes clicks and gives these results.
    """

    def __init__(self, spec: WindowSpec | None, mistakes: list[str]) -> None:
        self.declared: WindowSpec | None = spec
        """``None`` if there are mistakes that leave nothing to use."""
        self.mistakes: tuple[str, ...] = tuple(mistakes)
        """A sentence for each mistake, with place and remedy."""

    def spec(self) -> WindowSpec:
        """Return the specification; raises ``WallarooParameterError`` with all mistakes."""
        if self.mistakes or self.declared is None:
            raise WallarooParameterError(self.mistakes)
        return self.declared


class WindowsBuilder:
    """Windows that do not compute anything yet; each method returns another builder."""

    def __init__(self, maker: str, windows: Windows, problems: list[Problem]) -> None:
        self._maker = maker
        self._windows = windows
        self._firing = Firing()
        self._name: str | None = None
        self._used: tuple[str, ...] = ()
        self._place = caller_place()
        self._mistakes: tuple[str, ...] = tuple(each.at(self._place) for each in problems)

    def with_delay(self, delay: Duration) -> Self:
        """Fire when the clock has passed a window's end by ``delay``."""
        length_ns, problems = _length("the delay of with_delay()", delay)
        return self._with("with_delay", problems, delay_ns=length_ns)

    def allow_late(self, lateness: Duration) -> Self:
        """Let late records change a window until ``lateness`` after it has fired.

        Each of them gives a new result. The late policy has to be ``"update"``.
        """
        length_ns, problems = _length("the time of allow_late()", lateness, is_positive=True)
        return self._with("allow_late", problems, allow_late_ns=length_ns)

    def with_late_data_policy(self, policy: str) -> Self:
        """Say what happens to a record whose windows have all fired: ``"drop"`` (the default),
        ``"side"``, ``"update"``, ``"fire-per-message"`` or ``"place-in-oldest-window"``."""
        known = {each.value: each for each in LatePolicy}
        if isinstance(policy, str) and policy in known:
            return self._with("with_late_data_policy", [], late=known[policy])
        what = f"the policy of with_late_data_policy() is {named(policy)}"
        return self._with("with_late_data_policy", [Problem(what, f"give one of {_POLICIES}")])

    def early(self, *, every: Duration | None = None, count: int | None = None) -> Self:
        """Give early results, each ``every`` by the clock or after ``count`` records of a key.

        An early result is given for windows that have changed since the one before.
        """
        if (every is None) == (count is None):
            problem = Problem("early() has not exactly one of every and count", "give one of them")
            return self._with("early", [problem])
        if every is not None:
            every_ns, problems = _length("every of early()", every, is_positive=True)
            return self._with("early", problems, early_every_ns=every_ns)
        return self._with("early", [*_count_problems("count of early()", count)], early_count=count)

    def until(self, f: Callable[[Any, Any], Any]) -> Self:
        """Fire a window and forget it as soon as ``f(key, accumulator)`` is true."""
        problems = [*function_problems(f, "f of until()", ("key", "accumulator"))]
        return self._with("until", problems, until=f)

    def named(self, text: str) -> Self:
        """Name the step and its state; otherwise they have the name of the aggregation."""
        return self._with("named", [*name_problems("the name given to named()", text)], name=text)

    # Classes come before objects, each in an overload of its own. Pyright does not find `output` in
    # a class that it has compared with the protocol for objects before.
    @overload
    def over(
        self, aggregation: BuiltInAggregation[R, Q] | AggregationFunction[R, S, Q]
    ) -> WindowStep[R, Q]: ...
    @overload
    def over(self, aggregation: type[AggregationWithOutput[R, S, Q]]) -> WindowStep[R, Q]: ...
    @overload
    def over(self, aggregation: type[AggregationWithWindowOutput[R, S, Q]]) -> WindowStep[R, Q]: ...
    @overload
    def over(self, aggregation: AggregationWithOutput[R, S, Q]) -> WindowStep[R, Q]: ...
    @overload
    def over(self, aggregation: AggregationWithWindowOutput[R, S, Q]) -> WindowStep[R, Q]: ...
    @overload
    def over(
        self, aggregation: Aggregation[R, S] | type[Aggregation[R, S]]
    ) -> WindowStep[R, Result[S]]: ...
    def over(self, aggregation: Any) -> WindowStep[Any, Any]:
        """Compute an aggregation over each window of each key."""
        place = caller_place()
        mistakes = [*self._mistakes]
        spec: WindowSpec | None = None
        try:
            found = read_aggregation(aggregation, place)
        except WallarooParameterError as error:
            mistakes += error.mistakes
        else:
            mistakes += [problem.at(self._place) for problem in self._merge_problems(found)]
            spec = WindowSpec(
                windows=self._windows,
                aggregation=found,
                firing=self._complete_firing(),
                name=self._name,
            )
        mistakes += [problem.at(self._place) for problem in self._combined_problems()]
        return WindowStep(spec, [*dict.fromkeys(mistakes)])

    def _with(self, method: str, problems: list[Problem], **said: Any) -> Self:
        """Return windows of which this is said, too."""
        made = self._copy()
        place = caller_place()
        if method in self._used:
            problems = [*problems, Problem(f"{method}() is used twice", "keep one of them")]
        made._used = (*self._used, method)
        made._mistakes = (*self._mistakes, *(problem.at(place) for problem in problems))
        if not problems:
            made._say(said)
        return made

    def _say(self, said: dict[str, Any]) -> None:
        if "windows" in said:
            self._windows = said["windows"]
        elif "name" in said:
            self._name = said["name"]
        else:
            self._firing = replace(self._firing, **said)

    def _copy(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def _complete_firing(self) -> Firing:
        return self._firing

    def _merge_problems(self, aggregation: AggregationSpec) -> Iterator[Problem]:
        windows = self._windows
        is_sliding = isinstance(windows, FixedWindows) and windows.is_sliding
        if aggregation.merge is None and (is_sliding or isinstance(windows, SessionWindows)):
            yield Problem(
                f"{self._maker}() is over the aggregation {aggregation.name!r}, which has no merge",
                "give it one, or use windows that do not share records, such as tumbling()",
            )

    def _combined_problems(self) -> Iterator[Problem]:
        """Yield the problems of what does not go together."""
        late, windows = self._firing.late, self._windows
        if late is LatePolicy.UPDATE and "allow_late" not in self._used:
            yield Problem('the late policy "update" has no allow_late()', "say for how long")
        if "allow_late" in self._used and late is not LatePolicy.UPDATE:
            remedy = 'add with_late_data_policy("update")'
            yield Problem('allow_late() goes only with the late policy "update"', remedy)
        if late is LatePolicy.PLACE_IN_OLDEST_WINDOW and isinstance(
            windows, SessionWindows | EphemeralWindows
        ):
            what = f'the late policy "{late.value}" does not go with {self._maker}()'
            yield Problem(what, "its windows belong to a key; choose another policy")
        if isinstance(windows, CountWindows | GlobalWindows):
            for method in ("with_delay", "allow_late", "with_late_data_policy"):
                if method in self._used:
                    what = f"{method}() does not go with {self._maker}()"
                    yield Problem(what, "its records are never late; leave it out")
        is_by_clock = self._firing.early_every_ns is not None
        if (isinstance(windows, CountWindows) and is_by_clock) or (
            isinstance(windows, EphemeralWindows) and "early" in self._used
        ):
            what = f"early({'every=' if is_by_clock else ''}) does not go with {self._maker}()"
            yield Problem(what, "leave it out")
        if isinstance(windows, FixedWindows) and windows.is_sliding and "until" in self._used:
            what = f"until() does not go with {self._maker}(): a record is in several windows"
            yield Problem(what, "use tumbling() or session()")


class RangeWindowsBuilder(WindowsBuilder):
    """Windows of a range, as Wallaroo has them: tumbling, or sliding with ``with_slide``."""

    def with_slide(self, slide: Duration) -> Self:
        """Start a window each ``slide``."""
        assert isinstance(self._windows, FixedWindows)
        size_ns = self._windows.size_ns
        slide_ns, problems = _length("the slide of with_slide()", slide, is_positive=True)
        problems += _slide_problems("slide", slide_ns, "range", size_ns)
        return self._with("with_slide", problems, windows=FixedWindows(size_ns, slide_ns))

    def _complete_firing(self) -> Firing:
        """Return the rules with the delay rounded up to the slide, as in Wallaroo."""
        assert isinstance(self._windows, FixedWindows)
        slide_ns = self._windows.every_ns
        slides = -(-self._firing.delay_ns // slide_ns)
        return replace(self._firing, delay_ns=slides * slide_ns)


class CountWindowsBuilder(WindowsBuilder):
    """Windows of so many records of a key."""

    def with_slide(self, slide: int) -> Self:
        """Start a window every ``slide`` records."""
        assert isinstance(self._windows, CountWindows)
        count = self._windows.count
        problems = [*_count_problems("the slide of with_slide()", slide)]
        if not problems and slide > count:
            what = f"the slide of {slide} records is longer than the window of {count}"
            problems = [Problem(what, "give a slide of at most the window")]
        return self._with("with_slide", problems, windows=replace(self._windows, slide=slide))

    def partial(self, choice: str) -> Self:
        """Say what happens to incomplete windows at the end of the input: ``"drop"`` or
        ``"emit"``."""
        assert isinstance(self._windows, CountWindows)
        if choice not in ("drop", "emit"):
            what = f"the choice of partial() is {named(choice)}"
            return self._with("partial", [Problem(what, 'give "drop" or "emit"')])
        windows = replace(self._windows, emits_partial=choice == "emit")
        return self._with("partial", [], windows=windows)


def tumbling(size: Duration, offset: Duration = 0) -> WindowsBuilder:
    """Windows of ``size``, one after the other; one starts at 1970 UTC plus ``offset``."""
    size_ns, problems = _length("the size of tumbling()", size, is_positive=True)
    offset_ns, others = _length("the offset of tumbling()", offset)
    windows = FixedWindows(size_ns, size_ns, offset_ns)
    return WindowsBuilder("tumbling", windows, [*problems, *others])


def sliding(size: Duration, every: Duration, offset: Duration = 0) -> WindowsBuilder:
    """Windows of ``size``, of which one starts each ``every``; also called hopping windows."""
    size_ns, problems = _length("the size of sliding()", size, is_positive=True)
    every_ns, others = _length("every of sliding()", every, is_positive=True)
    offset_ns, more = _length("the offset of sliding()", offset)
    problems += [*others, *more, *_slide_problems("every", every_ns, "size", size_ns)]
    return WindowsBuilder("sliding", FixedWindows(size_ns, every_ns, offset_ns), problems)


def calendar(unit: str, zone: str = "UTC") -> WindowsBuilder:
    """Windows that follow the calendar of a time zone: ``"hour"``, ``"day"``, ``"week"`` (from
    Monday) or ``"month"``.

    A day on which the clocks change has 23 or 25 hours. ``zone`` is a name such as
    ``"Europe/Berlin"``.
    """
    known = {each.value: each for each in CalendarUnit}
    problems = []
    if not isinstance(unit, str) or unit not in known:
        what = f"the unit of calendar() is {named(unit)}"
        problems.append(Problem(what, f"give one of {_UNITS}"))
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, AttributeError, OSError):
        what = f"the zone of calendar() is {named(zone)}, which is not known here"
        remedy = 'give a name such as "Europe/Berlin"; the package tzdata has all of them'
        problems.append(Problem(what, remedy))
    windows = CalendarWindows(CalendarUnit.DAY if problems else known[unit], zone)
    return WindowsBuilder("calendar", windows, problems)


def session(gap: Duration, longest: Duration | None = None) -> WindowsBuilder:
    """A window for each group of a key's records that have less than ``gap`` between them.

    A session is cut when it has lasted ``longest``. Sessions that an out-of-order record joins
    become one.
    """
    gap_ns, problems = _length("the gap of session()", gap, is_positive=True)
    longest_ns = None
    if longest is not None:
        longest_ns, others = _length("longest of session()", longest, is_positive=True)
        problems += others
    return WindowsBuilder("session", SessionWindows(gap_ns, longest_ns), problems)


def count_windows(n: int) -> CountWindowsBuilder:
    """A window for each ``n`` records of a key, in the order of their arrival; needs no time."""
    problems = [*_count_problems("n of count_windows()", n)]
    count = 1 if problems else n
    return CountWindowsBuilder("count_windows", CountWindows(count, count), problems)


def global_window() -> WindowsBuilder:
    """One window forever. It gives a result for each record, or as ``early`` and ``until`` say."""
    return WindowsBuilder("global_window", GlobalWindows(), [])


def range_windows(range: Duration) -> RangeWindowsBuilder:
    """Windows of ``range``, aligned to 1970 UTC; ``with_slide`` makes them slide."""
    range_ns, problems = _length("the range of range_windows()", range, is_positive=True)
    return RangeWindowsBuilder("range_windows", FixedWindows(range_ns, range_ns), problems)


def ephemeral_windows(trigger_range: Duration, post_trigger_range: Duration) -> WindowsBuilder:
    """One window for each key, opened by its first record.

    It fires ``trigger_range`` after that record. The key is forgotten ``post_trigger_range``
    later; until then its records are late.
    """
    what = "of ephemeral_windows()"
    trigger_ns, problems = _length(f"trigger_range {what}", trigger_range, is_positive=True)
    post_ns, others = _length(f"post_trigger_range {what}", post_trigger_range)
    windows = EphemeralWindows(trigger_ns, post_ns)
    return WindowsBuilder("ephemeral_windows", windows, [*problems, *others])


def read_windows(given: object, place: SourceLocation) -> WindowSpec:
    """Return what a window step says; raises ``WallarooParameterError`` with all its mistakes."""
    if isinstance(given, WindowStep):
        return given.spec()
    if isinstance(given, WindowsBuilder):
        problem = Problem("windows are given without an aggregation", "end them with .over(...)")
        raise WallarooParameterError(problem.at(place))
    problem = Problem(
        f"a window is expected and not {named(given)}", "give tumbling(...).over(...)"
    )
    raise WallarooParameterError(problem.at(place))


def _length(what: str, duration: object, *, is_positive: bool = False) -> tuple[int, list[Problem]]:
    """Return a duration in nanoseconds, or 1 and what is wrong with it."""
    length_ns, problems = read_duration(what, duration)
    if is_positive and length_ns == 0 and not problems:
        problems = [Problem(f"{what} is 0", "give a longer one")]
    return (1 if problems else length_ns), problems


def _slide_problems(slide: str, slide_ns: int, size: str, size_ns: int) -> list[Problem]:
    if slide_ns <= size_ns:
        return []
    what = f"{slide} ({slide_ns / 1e9:g} s) is longer than the {size} ({size_ns / 1e9:g} s)"
    return [Problem(what, "records between two windows would be in none; make it shorter")]


def _count_problems(what: str, count: object) -> Iterator[Problem]:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        yield Problem(f"{what} is {named(count)}", "give an integer of at least 1")
