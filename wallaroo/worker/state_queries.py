"""What a worker answers about its keys and state objects while records go on.

Each answer is made in one step between two batches, so each is small: a page of keys, one object.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.operators.state_rendering import show
from wallaroo.routing.key_text import shown_key
from wallaroo.routing.keys import key_from_bytes

PAGE_KEYS_MAX = 2000
"""A page of this many keys takes about 2 ms."""

States = Mapping[str, dict[Any, Any]]
"""State objects by the name of their state, then by canonical key."""


def key_counts(states: States) -> dict[str, int]:
    """Return how many keys each state has here."""
    return {name: len(objects) for name, objects in states.items()}


class KeyPages:
    """The keys of one state at a time, page by page, in the order of their creation.

    It keeps the iterator between two pages, because a dict cannot be read from the middle.
    """

    def __init__(self) -> None:
        self._objects: dict[Any, Any] = {}
        self._keys: list[Any] = []
        """All keys read so far."""
        self._rest: Iterator[Any] = iter(())

    def page(self, states: States, params: dict[str, Any]) -> dict[str, Any]:
        """Return at most ``count`` keys, from number ``first`` on; long ones are shortened.

        A client that asks page by page sees each key once, if no key moves to another worker.
        """
        objects = _objects(states, params)
        first, count = int(params["first"]), min(int(params["count"]), PAGE_KEYS_MAX)
        if first == 0 or objects is not self._objects:
            self._begin(objects)
        self._read(first + count - len(self._keys))
        page = self._keys[first : first + count]
        is_last = first + len(page) >= len(objects)
        if is_last:
            self.forget()
        return {"keys": [[*shown_key(key)] for key in page], "is_last": is_last}

    def forget(self) -> None:
        """Forget what was kept for the next page."""
        self._begin({})

    def keep_only(self, states: States) -> None:
        """Forget the objects of an epoch that has ended."""
        if self._objects and not any(self._objects is objects for objects in states.values()):
            self.forget()

    def _begin(self, objects: dict[Any, Any]) -> None:
        self._objects, self._keys, self._rest = objects, [], iter(objects)

    def _read(self, count: int) -> None:
        """Read up to ``count`` more keys."""
        wanted = len(self._keys) + count
        with suppress(RuntimeError):
            # An iterator of a dict raises this once keys have been added.
            self._keys += islice(self._rest, max(count, 0))
        if len(self._keys) < wanted:
            # New keys are at the end, so the keys not read yet can be read backwards from there.
            missing = max(len(self._objects) - len(self._keys), 0)
            self._keys += [*islice(reversed(self._objects), missing)][::-1]


def get_object(states: States, params: dict[str, Any]) -> dict[str, Any]:
    """Return the state object of the key whose canonical bytes are ``key``, as text and JSON."""
    objects = _objects(states, params)
    key = key_from_bytes(bytes.fromhex(params["key"]))
    if key not in objects:
        return {"is_there": False}
    return {"is_there": True, **show(objects[key])}


def _objects(states: States, params: dict[str, Any]) -> dict[Any, Any]:
    try:
        return states[params["state"]]
    except KeyError as error:
        raise ClusterError(f"this worker has no state {params.get('state')!r}") from error
