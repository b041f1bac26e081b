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

    def commit(self, consumer: Any, now_s: float, *, is_last: bool = False) -> None:
        """Send what waits, if the last request was long enough ago."""
        if not self._waiting or (now_s < self._next_s and not is_last):
            return
        from confluent_kafka import KafkaException, TopicPartition

        self._next_s = now_s + COMMITTED_EVERY_S
        places = [TopicPartition(*place, offset) for place, offset in self._waiting.items()]
        self._waiting.clear()
        try:
            consumer.commit(offsets=places, asynchronous=True)
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
