"""Where partitions end, for the lag that monitors show; and why a partition does not go on.

The client knows ends from what it fetched last. While the application is slower than the topic it
fetches nothing, so just then these are old. Therefore the brokers are asked as well, all partitions
with one question, and nobody waits for the answer.

They are asked for two ends: that of all messages, and that of committed ones. A transaction that is
open keeps all readers of committed messages in front of it, for ever if its producer is gone and
the brokers have no time limit for it. Most transactions are short, and the two answers are not of
one moment, so a transaction counts only if the committed end has not moved between two answers.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from wallaroo_connectors.kafka.client import Cluster

ASKED_EVERY_S = 4.0
"""A little shorter than the time between two looks at the ends of all partitions."""
LOOKED_EVERY_S = 0.01
"""`end` is called for each partition; one look serves all of them."""
SILENT_S = 15.0
"""After this time without an answer, nobody knows where a partition ends."""

Place = tuple[str, int]


@dataclass(slots=True)
class _Known:
    """What the brokers said of one partition."""

    asked_s: float | None = None
    """When the first question was asked that has no answer yet."""
    end: int = -1
    committed_end: int = -1
    is_standing: bool = False
    """Whether the committed end has not moved since the answer before, and is not the end."""


class Ends:
    """The ends of the partitions of one worker; only the connector's thread uses it."""

    def __init__(self, cluster: Cluster, *, is_committed: bool) -> None:
        """``is_committed`` says that only committed messages are read."""
        self._cluster = cluster
        self._levels = (False, True) if is_committed else (False,)
        self._questions: dict[tuple[Place, bool], Any] = {}
        self._known: dict[Place, _Known] = {}
        self._next_s = 0.0
        self._next_look_s = 0.0

    def look(self, places: Collection[Place], now_s: float) -> None:
        """Take the answers that have arrived, and ask again if it is time."""
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOKED_EVERY_S
        for (place, is_committed), question in [*self._questions.items()]:
            if question.done():
                del self._questions[place, is_committed]
                if place in self._known and question.exception() is None:
                    offset = int(question.result().offset)
                    self._answered(self._known[place], offset, is_committed=is_committed)
        if places and not self._questions and now_s >= self._next_s:
            self._next_s = now_s + ASKED_EVERY_S
            for level in self._levels:
                asked = self._cluster.ends_question(places, is_committed=level)
                self._questions |= {(place, level): each for place, each in asked.items()}
            for place in places:
                known = self._known.setdefault(place, _Known())
                known.asked_s = now_s if known.asked_s is None else known.asked_s

    @staticmethod
    def _answered(known: _Known, offset: int, *, is_committed: bool) -> None:
        known.asked_s = None
        if not is_committed:
            known.end = offset
            return
        known.is_standing = known.committed_end == offset < known.end
        known.committed_end = offset

    def end(self, place: Place, fetched: int) -> int | None:
        """Return the end of a partition; ``fetched`` is what the client knows, negative if nothing.

        The end of a log only rises, so the higher one is newer.
        """
        known = self._known.get(place)
        if known is not None and self._silent_s(known) > SILENT_S:
            return None
        end = fetched if known is None else max(fetched, known.end)
        return end if end >= 0 else None

    def held(self, place: Place, offset: int) -> str | None:
        """Return why a partition that is read at ``offset`` cannot be read on, if that is so."""
        known = self._known.get(place)
        if known is None:
            return None
        if (silent_s := self._silent_s(known)) > SILENT_S:
            return f"its brokers have not said where it ends for {silent_s:.0f} s"
        if not known.is_standing or offset < known.committed_end:
            return None
        return (
            f"a transaction that started at offset {known.committed_end} is open, and "
            f"{known.end - known.committed_end:,} messages and markers wait for its end; "
            "kafka-transactions.sh shows and aborts it"
        )

    @staticmethod
    def _silent_s(known: _Known) -> float:
        return 0.0 if known.asked_s is None else time.monotonic() - known.asked_s

    def forget(self, place: Place) -> None:
        """Drop what is known of a partition that is no longer read."""
        self._known.pop(place, None)
        for level in self._levels:
            self._questions.pop((place, level), None)
