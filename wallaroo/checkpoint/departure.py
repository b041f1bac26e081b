"""What passes to a successor when a worker leaves the cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.dataclass_codec import from_plain, to_plain
from wallaroo.checkpoint.manifest import JournalPosition, OutboxBatch, Prepared, StagedOutput
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text


@dataclass(frozen=True, slots=True)
class Departure:
    """Everything that a departing worker owns except states, which go to the owners of their
    keys."""

    worker: WorkerName
    journals: list[JournalPosition]
    """Journals that are processed to their ends. Later checkpoints must not replay them, and they
    are deleted once no retained checkpoint needs them."""
    sources: dict[int, Any]
    """Positions of the sources that ran on this worker alone, by pipeline."""
    staged: list[StagedOutput]
    """Staged output, which becomes visible with the next checkpoint."""
    counts: dict[str, dict[str, list[int]]]
    """Counts of records by worker, which the successor carries on."""
    handed_over: int = 0
    """Number of the hand-over attempt that succeeded; 0 if its connections were not handed over."""
    outbox: list[OutboxBatch] = field(default_factory=list)
    """Results that no checkpoint names yet; the successor delivers them in this worker's slot."""
    prepared: list[Prepared] = field(default_factory=list)
    """Prepared work that may not be committed yet; the successor commits it."""

    def to_wire(self) -> list[Any]:
        """Return the values as lists, as msgpack packs them."""
        values: list[Any] = to_plain(self)
        return values

    @classmethod
    def from_wire(cls, value: object) -> "Departure":
        """Return what ``to_wire`` gave; ``ValueError``, naming the field, for anything else."""
        return from_plain(cls, value)


def successor_of(name: str, members: Sequence[WorkerName]) -> WorkerName:
    """Return the member that takes over what ``name`` names; the same in every process."""
    return members[hash_text(name) % len(members)]
