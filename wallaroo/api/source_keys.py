"""``source_key``: a state is partitioned by the keys that the source's records have already."""

from typing import final


@final
class SourceKey:
    """The key that a record has in its source; ``source_key`` is the only object."""

    def __repr__(self) -> str:
        return "wallaroo.source_key"


source_key: SourceKey = SourceKey()
"""Goes where a partition function goes, for a source with ``key`` set.

A record is routed by the key that its source gives, such as that of a Kafka message, and is decoded
by the worker that owns the key. Only the source may come before the step::

    builder.to_state_partition(count, Counter, "counts", wallaroo.source_key)
"""
