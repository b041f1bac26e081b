"""Offsets in a consumer group, for tools that watch the lag of groups.

Nothing here reads them back: positions are in checkpoints. So a failure is reported once and
changes nothing else.
"""

from collections.abc import Mapping
from typing import Any

import wallaroo

COMMITTED_EVERY_S = 5.0

_log = wallaroo.get_logger("kafka")


class GroupOffsets:
    """The offsets that one worker has still to commit; only the connector's thread uses it."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], int] = {}
        self._next_s = 0.0
        self._is_reported = False

    def note(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit these with the next request."""
        self._waiting.update(offsets)

    def commit(self, consumer: Any, now_s: float) -> None:
        """Send what waits, if the last request was long enough ago."""
        if self._waiting and now_s >= self._next_s:
            self._next_s = now_s + COMMITTED_EVERY_S
            self._send(consumer, self.take(), waits=False)

    def take(self) -> list[Any]:
        """Return what waits, for ``commit_last``."""
        from confluent_kafka import TopicPartition

        places = [TopicPartition(*place, offset) for place, offset in self._waiting.items()]
        self._waiting.clear()
        return places

    def commit_last(self, consumer: Any, places: list[Any]) -> None:
        """Commit these and wait for the answer: a client that closes does not wait for it.

        Another thread may call it.
        """
        if places:
            self._send(consumer, places, waits=True)

    def _send(self, consumer: Any, places: list[Any], *, waits: bool) -> None:
        from confluent_kafka import KafkaException

        try:
            consumer.commit(offsets=places, asynchronous=not waits)
        except KafkaException as error:
            self.answered(error.args[0], places)

    def answered(self, error: Any, places: Any) -> None:
        """Report the first error that the client tells of."""
        if error is not None and not self._is_reported:
            self._is_reported = True
            _log.warning(
                "the offsets of the consumer group were not committed, so tools that watch its lag "
                "are wrong; records are not affected: %s",
                error.str(),
            )
