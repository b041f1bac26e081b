"""What a worker answers about its keys and state objects while records go on.

Each answer is made in one step between two batches, so each is small: a page of keys, one object.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.operators.saved_state import Cursor, OpenWindow, SavedState, Shown
from wallaroo.operators.state_rendering import show, show_each
from wallaroo.operators.timed_states import TimedStates
from wallaroo.routing.key_text import shown_key
from wallaroo.routing.keys import Key, key_from_bytes
from wallaroo.timing.instants import shown_ns

PAGE_KEYS_MAX = 2000
"""A page of this many keys takes about 2 ms."""

States = Mapping[str, SavedState]
"""By the name of the state."""


def key_counts(states: States) -> dict[str, int]:
    """Return how many keys each state has here."""
    return {name: len(objects) for name, objects in states.items()}


class KeyPages:
    """The keys of one state at a time, page by page, in the order of their creation."""

    def __init__(self) -> None:
        self._state: SavedState | None = None
        self._cursor: Cursor | None = None

    def page(self, states: States, params: dict[str, Any]) -> dict[str, Any]:
        """Return at most ``count`` keys, from number ``first`` on; long ones are shortened.

        A client that asks page by page sees each key once, if no key moves to another worker.
        """
        state = _state(states, params)
        first, count = int(params["first"]), min(int(params["count"]), PAGE_KEYS_MAX)
        if first == 0 or state is not self._state or self._cursor is None:
            self._state, self._cursor = state, state.cursor()
        page = self._cursor.at(first, count)
        is_last = self._cursor.is_at_end(first + len(page))
        if is_last:
            self.forget()
        return {"keys": [[*shown_key(key)] for key in page], "is_last": is_last}

    def forget(self) -> None:
        """Forget what was kept for the next page."""
        self._state = self._cursor = None

    def keep_only(self, states: States) -> None:
        """Forget the state of an epoch that has ended."""
        if not any(self._state is state for state in states.values()):
            self.forget()


def get_key(states: States, timed: TimedStates | None, params: dict[str, Any]) -> dict[str, Any]:
    """Return what the key whose canonical bytes are ``key`` has, as text and JSON.

    ``value`` is its object; a key whose object was removed may still have timers. ``windows`` are
    the first of ``window_count`` that have not fired, for a state of windows, which has no objects.
    ``timers`` are its pending timers and alarms. Times are nanoseconds since 1970; a window without
    a start or an end has ``None``.
    """
    state, key = _state(states, params), key_of(params)
    found = state.shown(key)
    timers = [] if timed is None else timed.keyed.pending(params["state"], key)
    if found is None and not timers:
        return {"is_there": False}
    value, windows, window_count = found or Shown()
    shown = {"type": None, "value": None, "text": ""} if value is None else show(value)
    return {
        "is_there": True,
        **shown,
        "windows": _shown_windows(windows),
        "window_count": window_count,
        "timers": [{"name": each.name, "kind": each.kind, "at": each.time} for each in timers],
    }


def _shown_windows(windows: Sequence[OpenWindow]) -> list[dict[str, Any]]:
    shown = []
    for window, found in zip(windows, show_each(each.accumulator for each in windows), strict=True):
        times = {"start": shown_ns(window.start), "end": shown_ns(window.end)}
        shown.append({**times, "accumulator": found.pop("value"), **found})
    return shown


def key_of(params: dict[str, Any]) -> Key:
    """Return the key whose canonical bytes are ``key``."""
    return key_from_bytes(bytes.fromhex(params["key"]))


def _state(states: States, params: dict[str, Any]) -> SavedState:
    try:
        return states[params["state"]]
    except KeyError as error:
        raise ClusterError(f"this worker has no state {params.get('state')!r}") from error
