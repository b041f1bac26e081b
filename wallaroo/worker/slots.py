"""The names under which targets keep the numbers of batches.

A slot is ``wallaroo.APPLICATION.LINEAGE.SINK.WORKER``. The lineage belongs to the store of
checkpoints: with another store, batches are counted from 1 again, and a target that had the numbers
of both under one name would take new batches for old ones. The worker is named, not its process,
so that a process that replaces another one opens the same slot and excludes it. Sinks are told
apart by their position in the plan, as checkpoints do.
"""

import hashlib

from wallaroo.names import SinkId

SLOT_CHARACTERS_MAX = 249
"""What topics of Kafka may have; other systems allow more."""

_DIGEST_BYTES = 16


def slot_name(application: str, lineage: str, sink: SinkId, worker: str) -> str:
    """Return the name of a slot; if it would be too long, it has a hash of all parts instead."""
    parts = (application, lineage, f"sink{sink}", worker)
    name = ".".join(("wallaroo", *parts))
    if len(name) <= SLOT_CHARACTERS_MAX:
        return name
    content = "\0".join(parts).encode("utf-8", "surrogatepass")
    return f"wallaroo.{hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()}"
