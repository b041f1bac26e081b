"""Watches a sample of records: how long each function takes, and which keys they have.

Several times a second, a few records of a slice run through a second chain. It is written like the
first one, but every function of the user is timed, and the key of every look-up of a state is
noted. All other records run through the plain chain.
"""

from collections.abc import Callable
from typing import Any

SAMPLE_INTERVAL_S = 0.1
"""Time between two samples of a worker."""

RECORDS = 32
"""Records in one sample."""

WRAPPER_FILE = __file__
"""Frames of this file do not belong to the user."""

_STEP = 6364136223846793005
_MASK = (1 << 64) - 1


class Probe:
    """The samples since the last ``take``. ``clock_ns`` returns nanoseconds from any origin."""

    def __init__(self, node_count: int, states: list[str], clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self.times: list[list[int]] = [[] for _ in range(node_count)]
        """By node: durations of its function in nanoseconds."""
        self.beside: list[int] = [0] * node_count
        """By node: nanoseconds in partition functions and in constructors of states."""
        self.keys: dict[str, list[Any]] = {name: [] for name in states}
        """By state: the key of each record that reached it."""
        self._chance = 1

    def choose_first(self, count: int) -> int:
        """Return the first of ``count`` records to watch; it varies from call to call."""
        self._chance = (self._chance * _STEP + 1442695040888963407) & _MASK
        return (self._chance >> 33) % max(count - RECORDS + 1, 1)

    def timed(self, node: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, timed as the work of ``node``."""
        clock_ns, times = self._clock_ns, self.times

        def call(*arguments: Any) -> Any:
            started = clock_ns()
            try:
                return function(*arguments)
            finally:
                times[node].append(clock_ns() - started)

        return call

    def timed_beside(self, node: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, timed as user code beside the work of ``node``."""
        clock_ns, beside = self._clock_ns, self.beside

        def call(*arguments: Any) -> Any:
            started = clock_ns()
            try:
                return function(*arguments)
            finally:
                beside[node] += clock_ns() - started

        return call

    def watched(self, state: str, states: dict[Any, Any]) -> Any:
        """Return a replacement for ``states`` in a chain that notes the keys."""
        return _WatchedStates(states, self.keys[state])

    def take(self) -> tuple[list[list[int]], list[int], dict[str, list[Any]]]:
        """Return times, times beside, and keys since the last call."""
        times = [list(each) for each in self.times]
        beside, self.beside[:] = list(self.beside), [0] * len(self.beside)
        keys = {state: list(each) for state, each in self.keys.items()}
        for each in (*self.times, *self.keys.values()):
            each.clear()
        return times, beside, keys


class _WatchedStates:
    """The part of a dict that a chain uses."""

    __slots__ = ("_keys", "_states")

    def __init__(self, states: dict[Any, Any], keys: list[Any]) -> None:
        self._states = states
        self._keys = keys

    def get(self, key: Any) -> Any:
        self._keys.append(key)
        return self._states.get(key)

    def __setitem__(self, key: Any, state: Any) -> None:
        self._states[key] = state
