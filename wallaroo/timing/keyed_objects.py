"""Where windows that belong to a key are kept: objects by key, which checkpoints and moves know."""

from typing import Any, Protocol


class KeyedObjects(Protocol):
    """The objects of a state, and who has to know if they change."""

    objects: dict[Any, Any]
    """By key."""

    def before_change(self, key: Any) -> None:
        """Note that the object of a key is about to change, or that the key is new.

        A checkpoint that is being written keeps a copy of the object as it is.
        """
        ...

    def remove(self, key: Any) -> None:
        """Remove a key for good; the next checkpoint has to say so."""
        ...


class UntrackedObjects:
    """Objects of a state without checkpoints."""

    def __init__(self) -> None:
        self.objects: dict[Any, Any] = {}

    def before_change(self, key: Any) -> None:
        """Do nothing: nobody has to know."""

    def remove(self, key: Any) -> None:
        """Remove a key."""
        del self.objects[key]
