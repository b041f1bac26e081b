"""What steps ask of a worker besides records and states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ResourceMaker:
    """A function that makes a resource; two steps with the same function share what it makes."""

    name: str
    function: Callable[[], Any]
    """Plain or a coroutine function, or a generator of either kind, which also closes it."""
