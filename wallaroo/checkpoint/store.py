"""The protocols of a store, and of waiting for it.

The procedures of this package that read or write a store are coroutines, and await nothing but
these protocols. They know nothing of event loops: a worker process runs them on asyncio, a
simulation on its own clock.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from wallaroo.errors import AlreadyExistsError, WallarooError

Pause = Callable[[float], Awaitable[None]]
"""Waits for this many seconds; 0 lets other tasks run."""


class PartStore(Protocol):
    """Reads immutable objects by name."""

    def describe(self, name: str) -> str:
        """Return the path or URL of the object ``name``, for messages."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the whole object; ``MissingObjectError`` if there is none."""
        ...


async def create_or_find(store: "ObjectStore", name: str, data: bytes) -> WallarooError | None:
    """Put a new object into the store, but never replace another one; return why it failed.

    A run that is fenced off and does not know it yet may write objects of the same name as the run
    that goes on. The error is ``AlreadyExistsError`` if the object that is there is another one.
    """
    try:
        try:
            await store.create(name, data)
        except AlreadyExistsError:
            # Perhaps an earlier attempt succeeded and its answer was lost.
            if await store.get(name) != data:
                raise
    except WallarooError as error:
        return error
    return None


class ObjectStore(PartStore, Protocol):
    """Reads and writes immutable objects; each method raises ``StoreError`` if the store fails."""

    @property
    def location(self) -> str:
        """The directory or the URL, for messages."""
        ...

    async def create(self, name: str, data: bytes) -> None:
        """Write a new object, whole or not at all; of several calls all but one raise
        ``AlreadyExistsError``."""
        ...

    async def list(self, prefix: str = "") -> Sequence[tuple[str, int]]:
        """Return names and lengths of all objects below ``prefix``, sorted by name."""
        ...

    async def delete(self, names: Iterable[str]) -> None:
        """Delete objects; names that do not exist are ignored."""
        ...
