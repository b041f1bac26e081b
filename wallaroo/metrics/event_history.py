"""The events of a cluster: losses, recoveries, resizes, failed checkpoints.

The log has more, but it is long and may be lost with its terminal. This short list answers "what
was that dip in the chart?": the page draws a mark for each entry. It is in the initializer's memory
as long as the run lasts, and keeps the newest ``EVENTS_KEPT``.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from wallaroo.routing.keys import short_repr

EVENTS_KEPT = 200
TEXT_CHARACTERS_MAX = 500
FACTS_MAX = 16

LEVELS = ("info", "warning", "error")

_NO_FACTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class HistoryEvent:
    """One entry. Equal events in a row are one entry with a count."""

    unix_s: float
    last_unix_s: float
    count: int
    kind: str
    level: str
    text: str
    facts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as values for JSON and msgpack."""
        return {
            "unix_s": self.unix_s,
            "last_unix_s": self.last_unix_s,
            "count": self.count,
            "kind": self.kind,
            "level": self.level,
            "text": self.text,
            "facts": dict(self.facts),
        }


class EventHistory:
    """The newest entries of one run, oldest first.

    ``clock_s`` returns seconds since 1970.

        >>> events = EventHistory(lambda: 1.0)
        >>> events.add("worker.lost", "worker w2 was lost", {"worker": "w2"}, level="warning")
        >>> events.newest()[0]["text"]
        'worker w2 was lost'
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._events: deque[HistoryEvent] = deque(maxlen=EVENTS_KEPT)

    def add(
        self, kind: str, text: str, facts: Mapping[str, Any] = _NO_FACTS, *, level: str = "info"
    ) -> None:
        """Add an event that has just happened.

        ``kind`` is the name of the log event that says the same, such as ``journals.lost``;
        ``text`` is a sentence for people, without its full stop; ``facts`` are its values for
        programs. Long texts and values are cut off, so that the history stays small.
        """
        assert level in LEVELS, level
        now_s, text = self._clock_s(), _shortened(text)
        last = self._events[-1] if self._events else None
        if last is not None and (last.kind, last.text) == (kind, text):
            # A checkpoint that fails every second must not displace everything else.
            last.count += 1
            last.last_unix_s = now_s
            return
        kept = {
            _shortened(str(name)): _plain(value) for name, value in list(facts.items())[:FACTS_MAX]
        }
        self._events.append(HistoryEvent(now_s, now_s, 1, kind, level, text, kept))

    def newest(self, count: int = EVENTS_KEPT) -> list[dict[str, Any]]:
        """Return the newest ``count`` entries as plain values, oldest first."""
        return [event.as_dict() for event in list(self._events)[-count:]] if count > 0 else []


def _plain(value: object) -> str | int | float | bool | None:
    """Return ``value`` in a short form for JSON and msgpack."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) in (list, tuple) and all(type(each) is str for each in value):  # type: ignore[attr-defined]
        value = ", ".join(value)  # type: ignore[arg-type]
    return _shortened(value) if isinstance(value, str) else short_repr(value)


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[: TEXT_CHARACTERS_MAX - 1]}…"
