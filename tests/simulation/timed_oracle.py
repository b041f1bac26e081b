"""What results of a run with late records have to be, by definition.

Whether a record is late depends on how far the clocks are when it comes, so it differs from run to
run. What never differs: each record is in each of its windows that was open, or late, and not both;
each window gives one final result. If clocks wait for everybody, nothing is late, and results are
those of ``wallaroo.testing.model``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from tests.simulation.timed_applications import (
    GAP_MS,
    SIZE_MS,
    SLIDE_MS,
    TTL_MS,
    Sent,
    TimedCase,
)
from wallaroo.testing.model import KeyedWindow, TimedRecord, fixed_windows, session_windows

TUMBLING = (100, 100)
SLIDING = (SIZE_MS, SLIDE_MS)
SIZES = {
    "tumbling": TUMBLING,
    "sliding": SLIDING,
    "updates": TUMBLING,
    "drops": TUMBLING,
    "whole": TUMBLING,
}
"""Size and slide, by application."""


class Found:
    """The lines of all sinks."""

    def __init__(self, output: Mapping[int, list[Any]]) -> None:
        self.windows: dict[KeyedWindow, list[tuple[str, list[int]]]] = defaultdict(list)
        """Kind and numbers of each result."""
        self.late: list[int] = []
        self.doubly_late: list[int] = []
        self.rests: list[tuple[str, int, list[int]]] = []
        self.alarms: list[tuple[str, int, list[int]]] = []
        self.expired: list[tuple[str, list[int]]] = []
        for rows in output.values():
            for row in rows:
                line = row if isinstance(row, str) else row.decode()
                kind, key, *values = line.split()
                self._add(kind, key, values)

    def _add(self, kind: str, key: str, values: list[str]) -> None:
        numbers = [int(each) for each in values[-1].split(",")]
        match kind:
            case "R":
                window = KeyedWindow(key, int(values[0]), int(values[1]))
                self.windows[window].append((values[2], numbers))
            case "L":
                self.late += numbers
            case "D":
                self.doubly_late += numbers
            case "T":
                self.rests.append((key, int(values[0]), numbers))
            case "A":
                self.alarms.append((key, int(values[0]), numbers))
            case _:
                self.expired.append((key, numbers))

    @property
    def finals(self) -> Iterator[tuple[KeyedWindow, list[int]]]:
        """Give the windows with the numbers of their final results."""
        for window, results in self.windows.items():
            for kind, numbers in results:
                if kind == "final":
                    yield window, numbers


def problems(chosen: TimedCase, output: Mapping[int, list[Any]]) -> Iterator[str]:
    """Yield what is wrong with the output of a run."""
    found = Found(output)
    if chosen.is_patient and (late := [*found.late, *found.doubly_late]):
        yield f"records {late[:5]} are late, though clocks wait for everybody"
    yield from _twice(found)
    name = chosen.application
    if name in SIZES:
        yield from _fixed(chosen, found, *SIZES[name])
    elif name == "sessions":
        yield from _sessions(chosen, found)
    elif name == "two_levels":
        yield from _two_levels(chosen, found)
    else:
        yield from _keyed(chosen, found)


def _twice(found: Found) -> Iterator[str]:
    for window, count in Counter(window for window, _ in found.finals).items():
        if count > 1:
            yield f"{window} has {count} final results"
    for number, count in Counter(found.late).items():
        if count > 1:
            yield f"record {number} is late {count} times"


def _each_once(sent: Mapping[int, Sent], numbers: Iterable[int]) -> Iterator[str]:
    counts = Counter(numbers)
    for number in sent:
        if counts[number] != 1:
            yield f"record {number}, {sent[number]}, is in {counts[number]} results"


def _timed(sent: Mapping[int, Sent]) -> list[TimedRecord]:
    return [TimedRecord(each.key, each.time_ms, number) for number, each in sent.items()]


def _fixed(chosen: TimedCase, found: Found, size: int, every: int) -> Iterator[str]:
    model = {
        window: sorted(numbers)
        for window, numbers in fixed_windows(_timed(chosen.sent), size, every).items()
    }
    if chosen.application == "updates":
        yield from _updates(found, model)
        return
    all_of: dict[int, list[KeyedWindow]] = defaultdict(list)
    for window, numbers in model.items():
        for number in numbers:
            all_of[number].append(window)
    windows_of: dict[int, set[KeyedWindow]] = defaultdict(set)
    for window, numbers in found.finals:
        if surplus := Counter(numbers) - Counter(model.get(window, ())):
            yield f"{window} has {surplus}, which do not belong there"
        for number in numbers:
            windows_of[number].add(window)
    for number in chosen.sent:
        mine = sorted(all_of[number], key=lambda window: window.end)
        yield from _in_latest(chosen, number, mine, windows_of[number], number in found.late)


def _in_latest(
    chosen: TimedCase, number: int, mine: list[KeyedWindow], found: set[KeyedWindow], is_late: bool
) -> Iterator[str]:
    """A record is in all of its windows that were open, which are the latest, or it is late."""
    record = f"record {number}, {chosen.sent[number]},"
    if found != {*mine[len(mine) - len(found) :]}:
        yield f"{record} is in {found}, and not in later ones"
    if found and is_late:
        yield f"{record} is late, and in a window"
    may_be_lost = chosen.application == "drops" and not chosen.is_patient
    if not found and not is_late and not may_be_lost:
        yield f"{record} is in no window, and not late"
    if chosen.is_patient and len(found) < len(mine):
        yield f"{record} is in {found} only"


def _updates(found: Found, model: Mapping[KeyedWindow, list[int]]) -> Iterator[str]:
    """Nothing is too late here, so the last result of each window has all of its records."""
    for window, numbers in model.items():
        results = sorted(found.windows.get(window, ()), key=lambda each: len(each[1]))
        if not results or sorted(results[-1][1]) != numbers:
            yield f"{window} gives {results} in the end, and not {numbers}"
        if [kind for kind, _ in results[:1]] != ["final"]:
            yield f"{window} has {results} before its final result"
        for (_, before), (kind, after) in pairwise(results):
            if kind != "update" or Counter(before) - Counter(after):
                yield f"{window} gives {after} as {kind} after {before}"
    for window in found.windows.keys() - model.keys():
        yield f"{window} has no record"


def _sessions(chosen: TimedCase, found: Found) -> Iterator[str]:
    finals = {window: sorted(numbers) for window, numbers in found.finals}
    numbers = [number for each in finals.values() for number in each]
    yield from _each_once(chosen.sent, [*numbers, *found.late])
    for window, members in finals.items():
        times = sorted(chosen.sent[number].time_ms for number in members)
        is_whole = all(after - before < GAP_MS for before, after in pairwise(times))
        if (window.start, window.end) != (times[0], times[-1] + GAP_MS) or not is_whole:
            yield f"{window} has records at {times}"
    if chosen.is_patient:
        model = session_windows(_timed(chosen.sent), GAP_MS)
        wanted = {window: sorted(each) for window, each in model.items()}
        for window in wanted.keys() ^ finals.keys():
            yield f"{window} is in the model or in the results, and not in both"


def _two_levels(chosen: TimedCase, found: Found) -> Iterator[str]:
    if found.doubly_late:
        yield f"results of windows with {found.doubly_late[:5]} are late"
    numbers = [number for _, each in found.finals for number in each]
    yield from _each_once(chosen.sent, [*numbers, *found.late])
    for window, members in found.finals:
        for number in members:
            sent = chosen.sent[number]
            if sent.key != window.key or not window.start <= sent.time_ms < window.end:
                yield f"record {number}, {sent}, is in {window}"


def _keyed(chosen: TimedCase, found: Found) -> Iterator[str]:
    sent = chosen.sent
    numbers = [number for _, each in found.finals for number in each]
    numbers += [number for _, _, each in (*found.rests, *found.alarms) for number in each]
    numbers += [number for _, each in found.expired for number in each]
    yield from _each_once(sent, [*numbers, *found.doubly_late])
    for key, time_ms, each in found.rests:
        times = [sent[number].time_ms for number in each]
        if time_ms - GAP_MS not in times or any(sent[number].key != key for number in each):
            yield f"the timer of {key} at {time_ms} has {each}, which are at {times}"
    counts: dict[str, list[int]] = defaultdict(list)
    for key, count, _ in found.alarms:
        counts[key].append(count)
    for key, each in counts.items():
        if sorted(each) != [*range(1, len(each) + 1)]:
            yield f"the alarms of {key} are {sorted(each)}"
    if chosen.is_patient:
        yield from _expired_too_early(chosen, found)


def _expired_too_early(chosen: TimedCase, found: Found) -> Iterator[str]:
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for key, numbers in found.expired:
        times = [chosen.sent[number].time_ms for number in numbers]
        spans[key].append((min(times), max(times)))
    for key, each in spans.items():
        for (_, last), (first, _) in pairwise(sorted(each)):
            if first < last + TTL_MS:
                yield f"the state of {key} is gone at {first}, and was touched at {last}"
