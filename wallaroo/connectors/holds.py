"""Holds back output until the earlier results of its keys have reached the sink.

After a resize this worker owns keys whose earlier results may still wait in another worker's queue.
A hold keeps back what is added after it until those results have arrived. Holds are released by
number and pass in order, so output never overtakes output. It never waits for a later hold, so
workers that hold for each other cannot deadlock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Hold(Generic[T]):
    number: int
    chunks: list[T] = field(default_factory=list)
    """Added after this hold and before the next one."""
    is_released: bool = False


class Holds(Generic[T]):
    """The holds of one sink, with what they keep back."""

    def __init__(self) -> None:
        self._holds: deque[_Hold[T]] = deque()

    @property
    def is_holding(self) -> bool:
        """Whether what is added now has to wait for a release."""
        return bool(self._holds)

    def add(self, chunk: T) -> None:
        """Keep this back behind the last hold; call it only while ``is_holding``."""
        self._holds[-1].chunks.append(chunk)

    def hold(self, number: int) -> None:
        """Keep back what is added from now on, until ``release(number)``."""
        self._holds.append(_Hold(number))

    def release(self, number: int) -> list[T]:
        """Release the hold of this number, if there is one; return what nothing keeps back now."""
        for hold in self._holds:
            if hold.number == number:
                hold.is_released = True
        passed: list[T] = []
        while self._holds and self._holds[0].is_released:
            passed += self._holds.popleft().chunks
        return passed

    def drop(self) -> list[T]:
        """Forget all holds; return what they kept back."""
        dropped = [chunk for hold in self._holds for chunk in hold.chunks]
        self._holds.clear()
        return dropped
