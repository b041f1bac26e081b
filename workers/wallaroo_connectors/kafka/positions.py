"""Where a partition of a topic is: what a checkpoint has of it.

A position is ``[offset, leader epoch, topic id]``, with an end behind it if the source has one.
The runtime changes the offset alone. With the epoch the client notices a log that was cut off, and
the id shows that a topic was deleted and made again, or that this is another cluster: ids of topics
are random.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

_SPLIT = re.compile(r".+-\d+")

NO_EPOCH = -1
BEGINNING = -2
"""As ``confluent_kafka.OFFSET_BEGINNING``."""


@dataclass(frozen=True, slots=True)
class Position:
    """The next message of a partition."""

    offset: int
    epoch: int
    topic_id: str
    end: int | None = None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the position that ``packed`` gave; ``None`` is the beginning."""
        return cls(BEGINNING, NO_EPOCH, "") if value is None else cls(*value)

    def packed(self) -> list[Any]:
        """Return it as msgpack packs it."""
        end = [] if self.end is None else [self.end]
        return [self.offset, self.epoch, self.topic_id, *end]


def split_name(topic: str, partition: int) -> str:
    """Return the name of a partition."""
    return f"{topic}-{partition}"


def is_split(name: object) -> bool:
    """Return whether this can be the name of a partition."""
    return isinstance(name, str) and _SPLIT.fullmatch(name) is not None


def of_split(split: str) -> tuple[str, int]:
    """Return topic and number of a partition's name."""
    topic, _, number = split.rpartition("-")
    return topic, int(number)
