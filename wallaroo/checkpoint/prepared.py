"""Who commits what a manifest names of prepared work, and in which slots the rest is aborted."""

from dataclasses import dataclass

from wallaroo.checkpoint.departure import successor_of
from wallaroo.checkpoint.manifest import Manifest, Prepared
from wallaroo.names import SinkId, WorkerName


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedStart:
    """What a worker begins with, for all its sinks or for one."""

    mine: tuple[Prepared, ...] = ()
    """What this worker commits: its own, and that of workers that have left it to this one."""
    named: tuple[Prepared, ...] = ()
    """What any worker commits."""
    slots: tuple[str, ...] = ()
    """Workers of the manifest that are not members any more and are assigned to this one."""
    spares: bool = False
    """Whether nothing is aborted: a worker that joins does not know the manifest, and its name may
    have been used before."""

    def of(self, sink: SinkId) -> "PreparedStart":
        """Return what concerns this sink."""
        return PreparedStart(
            mine=tuple(each for each in self.mine if each.sink == sink),
            named=tuple(each for each in self.named if each.sink == sink),
            slots=self.slots,
            spares=self.spares,
        )


def prepared_of(
    me: WorkerName, members: tuple[WorkerName, ...], manifest: Manifest | None
) -> PreparedStart:
    """Return what this worker commits, and the slots in which it aborts what is not named."""
    if manifest is None:
        return PreparedStart()
    shares = manifest.workers.items()
    named = [each for _, share in shares for each in share.prepared]
    mine = [
        each for worker, share in shares if _is_mine(worker, me, members) for each in share.prepared
    ]
    # Members are not in a manifest with a share before their first checkpoint.
    known = sorted({*manifest.workers, *map(WorkerName, manifest.members)} - {*members})
    slots = [worker for worker in known if successor_of(worker, members) == me]
    return PreparedStart(mine=tuple(mine), named=tuple(named), slots=tuple(slots))


def _is_mine(worker: str, me: WorkerName, members: tuple[WorkerName, ...]) -> bool:
    return (worker if worker in members else successor_of(worker, members)) == me
