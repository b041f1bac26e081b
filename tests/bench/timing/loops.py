"""Windows by hand, as a user writes them without a stream processor.

The plain loop has a dict by key and window, and a sweep when time passes a window's end. The
expert's has a dict of dicts by window, of which it keeps the current one at hand.
"""

from collections.abc import Sequence
from typing import Any

from tests.bench.timing.records import BOUND, GAP, SECOND, SIZE, Run, decode, encode


class Count:
    """What is counted for each key of a window."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, record: Any) -> None:
        self.count += 1


def plain_tumbling() -> Run:
    counts: dict[tuple[str, int], Count] = {}
    out: list[bytes] = []
    top, fired = 0, 0

    def run(payloads: Sequence[bytes]) -> None:
        nonlocal top, fired
        for payload in payloads:
            key, time = record = decode(payload)
            start = time - time % SIZE
            found = counts.get((key, start))
            if found is None:
                if start + SIZE <= fired:
                    continue
                found = counts[key, start] = Count()
            found.add(record)
            if time > top:
                top = time
                if top - BOUND >= fired + SIZE:
                    fired = (top - BOUND) // SIZE * SIZE
                    over = [each for each in counts if each[1] + SIZE <= fired]
                    out.extend(encode(each[0], counts.pop(each).count) for each in over)

    return run


def expert_tumbling() -> Run:
    windows: dict[int, dict[str, Count]] = {}
    out: list[bytes] = []
    top, fired = 0, 0

    def run(payloads: Sequence[bytes]) -> None:
        nonlocal top, fired
        low, high, counts = 0, 0, {}
        for payload in payloads:
            key, time = record = decode(payload)
            if time > top:
                top = time
            if not low <= time < high:
                low = time - time % SIZE
                high = low + SIZE
                if high <= fired:
                    high = low
                    continue
                counts = windows.setdefault(low, {})
            found = counts.get(key)
            if found is None:
                found = counts[key] = Count()
            found.add(record)
        for start in [start for start in sorted(windows) if start + SIZE <= top - BOUND]:
            fired = start + SIZE
            out.extend(encode(key, each.count) for key, each in windows.pop(start).items())

    return run


def plain_sessions() -> Run:
    """Have a list of sessions for each key, and a sweep over all of them each second."""
    sessions: dict[str, list[list[Any]]] = {}
    out: list[bytes] = []
    top, swept = 0, 0

    def sweep(until: int) -> None:
        for key, mine in [*sessions.items()]:
            out.extend(encode(key, each[2].count) for each in mine if each[1] <= until)
            if kept := [each for each in mine if each[1] > until]:
                sessions[key] = kept
            else:
                del sessions[key]

    def run(payloads: Sequence[bytes]) -> None:
        nonlocal top, swept
        for payload in payloads:
            key, time = record = decode(payload)
            top = max(top, time)
            mine = sessions.setdefault(key, [])
            hits = [each for each in mine if each[0] < time + GAP and time < each[1]]
            if not hits:
                hits = [[time, time + GAP, Count()]]
                mine.append(hits[0])
            found = hits[0]
            for other in hits[1:]:
                found[2].count += other[2].count
                found[0], found[1] = min(found[0], other[0]), max(found[1], other[1])
                mine.remove(other)
            found[0], found[1] = min(found[0], time), max(found[1], time + GAP)
            found[2].add(record)
            if top - BOUND - swept > SECOND:
                swept = top - BOUND
                sweep(swept)

    return run
