"""Serializes records and states, unless the application has functions of its own."""

import pickle
from typing import Any

PICKLE_PROTOCOL = 5
"""Fixed, so that every supported Python can read a checkpoint."""


def serialize(obj: Any) -> bytes:
    """Return ``obj`` as bytes; raises what pickle raises."""
    return pickle.dumps(obj, protocol=PICKLE_PROTOCOL)


def deserialize(data: bytes) -> Any:
    """Return the object in ``data``, which must be from ``serialize``: unpickling runs code."""
    return pickle.loads(data)
