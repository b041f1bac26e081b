"""What a process can measure about itself: CPU time, memory, garbage collection, loop lag."""

import gc
import os
import time
from typing import Any

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """The numbers of this process, from ``begin`` on."""

    def __init__(self) -> None:
        self._gc_started_ns = 0
        self._gc_ns = 0
        self._gc_count = 0
        self._gc_longest_ns = 0
        self._lag_s = 0.0
        self._ticked_s: float | None = None

    def begin(self) -> None:
        """Watch the garbage collector from now on."""
        gc.callbacks.append(self._collecting)

    def end(self) -> None:
        """Stop watching the garbage collector."""
        if self._collecting in gc.callbacks:
            gc.callbacks.remove(self._collecting)

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_started_ns = time.perf_counter_ns()
        elif self._gc_started_ns:
            took_ns = time.perf_counter_ns() - self._gc_started_ns
            self._gc_ns += took_ns
            self._gc_count += 1
            self._gc_longest_ns = max(self._gc_longest_ns, took_ns)

    def ticked(self, now_s: float, every_s: float) -> float:
        """Note that a timer of ``every_s`` fired; return the seconds since the last time."""
        last_s, self._ticked_s = self._ticked_s, now_s
        if last_s is None:
            return 0.0
        elapsed_s = now_s - last_s
        self._lag_s = max(self._lag_s, elapsed_s - every_s)
        return elapsed_s

    def take(self) -> dict[str, Any]:
        """Return the numbers; the longest lag and pause are those since the last call."""
        lag_s, self._lag_s = self._lag_s, 0.0
        longest_ns, self._gc_longest_ns = self._gc_longest_ns, 0
        return {
            "cpu_s": time.process_time(),
            "rss_bytes": resident_bytes(),
            "loop_lag_s": lag_s,
            "gc_s": self._gc_ns / 1e9,
            "gc_count": self._gc_count,
            "gc_pause_s": longest_ns / 1e9,
        }


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 if the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def clock_overhead_ns() -> float:
    """Return what two readings of the clock add to a measured time."""
    clock = time.perf_counter_ns
    times = []
    for _ in range(200):
        started = clock()
        times.append(clock() - started)
    return float(sorted(times)[len(times) // 2])
