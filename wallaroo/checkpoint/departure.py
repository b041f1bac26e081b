"""What a worker that leaves the cluster leaves behind, for others to look after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.dataclass_codec import from_plain, to_plain
from wallaroo.checkpoint.manifest import JournalPosition, StagedOutput
from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text


@dataclass(frozen=True, slots=True)
class Departure:
    """All of it but the states, which go to the owners of their keys."""

    worker: WorkerName
    journals: list[JournalPosition]
    """Read to their ends. No checkpoint to come may have them replayed, and once no checkpoint
    that is kept needs them they are to be deleted."""
    sources: dict[int, Any]
    """Where each source is that ran there alone, by pipeline."""
    staged: list[StagedOutput]
    """Output that becomes visible with the next checkpoint."""
    counts: dict[str, dict[str, list[int]]]
    """Records counted here, by worker, to be carried on."""
    handed_over: int = 0
    """At which attempt the connections of its senders were given, and lie aside at others, to be
    read on there; 0 where they were not."""

    def to_wire(self) -> list[Any]:
        """Return the values as lists, as msgpack packs them."""
        values: list[Any] = to_plain(self)
        return values

    @classmethod
    def from_wire(cls, value: object) -> "Departure":
        """Return what ``to_wire`` gave; ``ValueError``, naming the field, for anything else."""
        return from_plain(cls, value)


def successor_of(name: str, members: Sequence[WorkerName]) -> WorkerName:
    """Return the member that looks after what ``name`` names: the same one, whoever asks."""
    return members[hash_text(name) % len(members)]
