"""``python -m tests.bench.timing``: windows and timers against loops by hand, without a cluster.

Variants take turns chunk by chunk, so their ratios hold on a busy machine, and times do not.
"""

import argparse
import heapq
import json
import operator
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console

from tests.bench.machine import OtherPrograms
from tests.bench.timing import loops, machines
from tests.bench.timing.interleaved import Measured, Run, interleave
from tests.bench.timing.records import SECOND, chunks_of
from wallaroo.timing.accumulators import one_more
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.timers import OneTimer
from wallaroo.timing.window_spec import AggregationSpec, Firing, FixedWindows, WindowSpec

TIMER_STEP = SECOND // 50
TIMER_CHUNK = 20_000
SPREAD = 60 * SECOND

screen = Console(highlight=False)


def main() -> None:
    """Measure what is named, or everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=[*WHAT])
    parser.add_argument("--json", action="store_true", help="print numbers for programs")
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 50_000])
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--timers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    others = OtherPrograms()
    for name in [given.what] if given.what else WHAT:
        for title, measured in WHAT[name](given):
            if given.json:
                sys.stdout.write(json.dumps({each.name: each.unit_ns for each in measured}))
            else:
                show(title, measured)
    if not given.json:
        screen.print(others.describe())


Shown = Iterator[tuple[str, list[Measured]]]


def windows(given: argparse.Namespace) -> Shown:
    for key_count in given.keys:
        chunks = chunks_of(given.records, key_count)
        yield f"tumbling, {key_count:,} keys", interleave(TUMBLING, chunks, given.rounds)


def sessions(given: argparse.Namespace) -> Shown:
    for key_count in given.keys:
        chunks = chunks_of(given.records, key_count)
        yield f"sessions, {key_count:,} keys", interleave(SESSIONS, chunks, given.rounds)


def slides(given: argparse.Namespace) -> Shown:
    key_count = min(given.keys)
    variants = {f"{count} panes": partial(sliding, count, key_count) for count in PANES}
    yield f"slides, each of {key_count:,} keys", interleave(variants, [range(key_count)] * 120, 1)


def timers_set(given: argparse.Namespace) -> Shown:
    yield f"set, {given.timers:,} timers", interleave(SET, timer_chunks(given.timers), 1)


def timers_fired(given: argparse.Namespace) -> Shown:
    fired = {name: partial(make, given.timers) for name, make in FIRED.items()}
    yield f"fired, {given.timers:,} timers", interleave(fired, [range(TIMER_CHUNK)] * 40, 1)


def timers_memory(given: argparse.Namespace) -> Shown:
    size = memory_of_timers(given.timers)
    yield "memory of a timer, without its key", [Measured("bytes", size, 1.0)]


WHAT: dict[str, Callable[[argparse.Namespace], Shown]] = {
    "tumbling": windows,
    "sessions": sessions,
    "sliding": slides,
    "set": timers_set,
    "fired": timers_fired,
    "memory": timers_memory,
}


def show(title: str, measured: list[Measured]) -> None:
    screen.print(f"{title}: ns, ratio")
    for each in measured:
        screen.print(f"   {each.name:28} {each.unit_ns:8.0f}   x {each.ratio:.2f}")


TUMBLING = {
    "plain loop": loops.plain_tumbling,
    "expert's loop": loops.expert_tumbling,
    "panes": machines.tumbling,
    "panes with checkpoints": machines.tumbling_with_checkpoints,
}
SESSIONS = {"plain loop": loops.plain_sessions, "sessions": machines.sessions}
PANES = (2, 4, 8, 16, 60)


def sliding(pane_count: int, key_count: int) -> Run:
    """Give one window a chunk, of which each key has records in each pane."""
    spec = WindowSpec(
        windows=FixedWindows(pane_count, 1),
        aggregation=AggregationSpec(
            name="count", initial=int, update=one_more, update_returns=True, merge=operator.add
        ),
        firing=Firing(),
    )
    store = PaneStore(spec)
    keys = [f"user{number}" for number in range(key_count)]
    clock = 0

    def put(time: int) -> None:
        found = store.locate("", None, time)
        assert found is not None
        found.accumulators.update(dict.fromkeys(keys, 1))

    def run(chunk: Sequence[Any]) -> None:
        nonlocal clock
        put(clock)
        clock += 1
        store.advance(clock)
        while store.fire_some(500) is not None:
            pass

    for _ in range(2 * pane_count):
        run(())
    return run


def times_of(count: int) -> list[tuple[str, int]]:
    chance = random.Random(2)
    return [(f"user{number}", chance.randrange(SPREAD)) for number in range(count)]


def timer_chunks(count: int) -> list[list[tuple[str, int]]]:
    timers = times_of(count)
    return [timers[start : start + TIMER_CHUNK] for start in range(0, count, TIMER_CHUNK)]


class Heap:
    """Timers by hand: a heap of times, and a dict that knows which of them still count."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self.heap: list[tuple[int, str]] = []

    def set(self, key: str, time: int) -> None:
        self.due[key] = time
        heapq.heappush(self.heap, (time, key))

    def take(self, clock: int) -> list[tuple[int, str]]:
        taken = []
        while self.heap and self.heap[0][0] <= clock:
            time, key = heapq.heappop(self.heap)
            if self.due.get(key) == time:
                del self.due[key]
                taken.append((time, key))
        return taken


def set_timers(timers: OneTimer | Heap) -> Run:
    def run(chunk: Sequence[tuple[str, int]]) -> None:
        put = timers.set
        for key, time in chunk:
            put(key, time)

    return run


def fire_timers(timers: OneTimer | Heap, count: int) -> Run:
    """Fire as many timers as a chunk has, in steps of 20 ms."""
    for key, time in times_of(count):
        timers.set(key, time)
    clock = left_over = 0

    def run(chunk: Sequence[Any]) -> None:
        nonlocal clock, left_over
        fired = left_over
        while fired < len(chunk):
            clock += TIMER_STEP
            for _ in timers.take(clock):
                fired += 1
        left_over = fired - len(chunk)

    return run


SET: dict[str, Callable[[], Run]] = {
    "heapq": lambda: set_timers(Heap()),
    "slots": lambda: set_timers(OneTimer()),
}
FIRED: dict[str, Callable[[int], Run]] = {
    "heapq": lambda count: fire_timers(Heap(), count),
    "slots": lambda count: fire_timers(OneTimer(), count),
}


def memory_of_timers(count: int) -> float:
    """Return the bytes of each timer, its time included and its key not."""
    given = times_of(count)
    tracemalloc.start()
    timers = OneTimer()
    for key, time in given:
        timers.set(key, time + 1)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / count


if __name__ == "__main__":
    main()
