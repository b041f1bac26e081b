"""What a worker says of the keys and state objects that it holds, while records go on.

Each answer is made in one go between two batches, so each is small: a page of keys, one object.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.operators.showing import show
from wallaroo.routing.key_text import text_of_key
from wallaroo.routing.keys import key_from_bytes

PAGE_KEYS_MAX = 2000
"""A page of so many takes some 3 ms."""

States = Mapping[str, dict[Any, Any]]
"""State objects by the name of their state, then by canonical key."""


def key_counts(states: States) -> dict[str, int]:
    """Return how many keys each state has here."""
    return {name: len(objects) for name, objects in states.items()}


def list_keys(states: States, params: dict[str, Any]) -> dict[str, Any]:
    """Return the keys from number ``first`` on, ``count`` at most, in the order of their creation.

    Keys are never deleted, so whoever asks page by page sees each key once.
    """
    objects = _objects(states, params)
    first, count = int(params["first"]), min(int(params["count"]), PAGE_KEYS_MAX)
    page = list(islice(objects, first, first + count))
    return {
        "keys": [[*text_of_key(key)] for key in page],
        "is_last": first + len(page) >= len(objects),
    }


def get_object(states: States, params: dict[str, Any]) -> dict[str, Any]:
    """Return the state object of the key whose canonical bytes are ``key``, as ``show`` does."""
    objects = _objects(states, params)
    key = key_from_bytes(bytes.fromhex(params["key"]))
    if key not in objects:
        return {"is_there": False}
    return {"is_there": True, **show(objects[key])}


READERS: dict[str, Callable[[States, dict[str, Any]], dict[str, Any]]] = {
    "keys": list_keys,
    "get": get_object,
}
"""By what a ``Query`` asks for."""


def _objects(states: States, params: dict[str, Any]) -> dict[Any, Any]:
    try:
        return states[params["state"]]
    except KeyError as error:
        raise ClusterError(f"there is no state {params.get('state')!r} here") from error
