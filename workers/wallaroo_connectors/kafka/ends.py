"""Where partitions end, for the lag that monitors show.

The client knows ends from what it fetched last. While the application is slower than the topic it
fetches nothing, so just then these are old. Therefore the brokers are asked as well, all partitions
with one question, and nobody waits for the answer.
"""

from collections.abc import Collection
from typing import Any

from wallaroo_connectors.kafka.client import Cluster

ASKED_EVERY_S = 4.0
"""A little shorter than the time between two looks at the ends of all partitions."""

Place = tuple[str, int]


class Ends:
    """The ends of the partitions of one worker; only the connector's thread uses it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._questions: dict[Place, Any] = {}
        self._answers: dict[Place, int] = {}
        self._next_s = 0.0

    def look(self, places: Collection[Place], now_s: float) -> None:
        """Take the answers that have arrived, and ask again if it is time."""
        for place, question in [*self._questions.items()]:
            if question.done():
                del self._questions[place]
                if question.exception() is None:
                    self._answers[place] = int(question.result().offset)
        if places and not self._questions and now_s >= self._next_s:
            self._next_s = now_s + ASKED_EVERY_S
            self._questions = self._cluster.ends_question(places)

    def end(self, place: Place, fetched: int) -> int | None:
        """Return the end of a partition; ``fetched`` is what the client knows, negative if nothing.

        The end of a log only rises, so the higher one is newer.
        """
        end = max(fetched, self._answers.get(place, -1))
        return end if end >= 0 else None

    def forget(self, place: Place) -> None:
        """Drop what is known of a partition that is read no more."""
        self._answers.pop(place, None)
        self._questions.pop(place, None)
