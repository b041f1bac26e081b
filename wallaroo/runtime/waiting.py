"""What machines wait for, independent of an event loop."""

from typing import Protocol


class Flag(Protocol):
    """Something to wait for, such as ``asyncio.Event``."""

    def set(self) -> None:
        """Set the flag."""
        ...

    def clear(self) -> None:
        """Clear it."""
        ...

    def is_set(self) -> bool:
        """Return whether it is set."""
        ...

    async def wait(self) -> object:
        """Wait until it is set."""
        ...
