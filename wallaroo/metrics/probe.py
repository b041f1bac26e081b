"""Watches a few records on their way: how long each function takes, and which keys come.

Some times a second a few records of a slice run through a second chain, written as the first one is
but with every function of the user wrapped in a clock, and every look-up of a state noted. All
other records run as if nobody looked.
"""

from collections.abc import Callable
from typing import Any

EVERY_S = 0.1
"""Time from one look to the next, of each worker."""

RECORDS = 32
"""Looked at together."""

WRAPPER_FILE = __file__
"""Frames of this file are none of the user's."""

_STEP = 6364136223846793005
_MASK = (1 << 64) - 1


class Probe:
    """What was seen since it was last taken. ``clock_ns`` gives nanoseconds from any origin."""

    def __init__(self, node_count: int, states: list[str], clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self.times: list[list[int]] = [[] for _ in range(node_count)]
        """By node: nanoseconds that its function took."""
        self.beside: list[int] = [0] * node_count
        """By node: nanoseconds in partition functions and constructors of states."""
        self.keys: dict[str, list[Any]] = {name: [] for name in states}
        """By state: the key of each record that came to it."""
        self._chance = 1

    def choose_first(self, count: int) -> int:
        """Return the first of ``count`` records to watch; it varies from call to call."""
        self._chance = (self._chance * _STEP + 1442695040888963407) & _MASK
        return (self._chance >> 33) % max(count - RECORDS + 1, 1)

    def timed(self, node: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time taken for what ``node`` does."""
        clock_ns, times = self._clock_ns, self.times

        def call(*arguments: Any) -> Any:
            started = clock_ns()
            try:
                return function(*arguments)
            finally:
                times[node].append(clock_ns() - started)

        return call

    def timed_beside(self, node: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time taken as part of the user's share only."""
        clock_ns, beside = self._clock_ns, self.beside

        def call(*arguments: Any) -> Any:
            started = clock_ns()
            try:
                return function(*arguments)
            finally:
                beside[node] += clock_ns() - started

        return call

    def watched(self, state: str, states: dict[Any, Any]) -> Any:
        """Return what stands for ``states`` in a chain and notes the keys."""
        return _WatchedStates(states, self.keys[state])

    def take(self) -> tuple[list[list[int]], list[int], dict[str, list[Any]]]:
        """Return times, times beside and keys since the last call."""
        times = [list(each) for each in self.times]
        beside, self.beside[:] = list(self.beside), [0] * len(self.beside)
        keys = {state: list(each) for state, each in self.keys.items()}
        for each in (*self.times, *self.keys.values()):
            each.clear()
        return times, beside, keys


class _WatchedStates:
    """As much of a dict as a chain uses."""

    __slots__ = ("_keys", "_states")

    def __init__(self, states: dict[Any, Any], keys: list[Any]) -> None:
        self._states = states
        self._keys = keys

    def get(self, key: Any) -> Any:
        self._keys.append(key)
        return self._states.get(key)

    def __setitem__(self, key: Any, state: Any) -> None:
        self._states[key] = state
