"""How records and states travel and rest, unless the application brings its own functions."""

import pickle
from typing import Any

PICKLE_PROTOCOL = 5
"""Fixed, so that a checkpoint can be read by every Python this package supports."""


def serialize(obj: Any) -> bytes:
    """Return ``obj`` as bytes; raises what pickle raises if it cannot be."""
    return pickle.dumps(obj, protocol=PICKLE_PROTOCOL)


def deserialize(data: bytes) -> Any:
    """Return the object in ``data``, which must come from ``serialize``: unpickling runs code."""
    return pickle.loads(data)
