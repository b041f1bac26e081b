"""What checkpoints need of the place where they are kept, and of whoever waits for it.

The procedures of this package that read or write a store are coroutines, and wait for nothing but
what they are given here. They know no event loop: a worker process runs them on asyncio, a
simulation on its own clock.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds; 0 lets others have their turn."""


class PartStore(Protocol):
    """Immutable objects under names, to be read."""

    def describe(self, name: str) -> str:
        """Return where the object ``name`` is, for messages."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the whole object; ``MissingObjectError`` if there is none."""
        ...


class ObjectStore(PartStore, Protocol):
    """Immutable objects under names; every method raises ``StoreError`` where it cannot be used."""

    @property
    def location(self) -> str:
        """The directory or the URL, for messages."""
        ...

    async def create(self, name: str, data: bytes) -> None:
        """Write a new object, whole or not at all; ``AlreadyExistsError`` to all but one."""
        ...

    async def list(self, prefix: str = "") -> Sequence[tuple[str, int]]:
        """Return names and lengths of all objects below ``prefix``, sorted by name."""
        ...

    async def delete(self, names: Iterable[str]) -> None:
        """Delete objects; names of which there is none are passed over."""
        ...
