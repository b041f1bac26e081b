"""Decides when the state of a key may be deleted on request, and when the request is answered.

The owner of the key deletes it between two records.

**What can go wrong**

* *A journal is being replayed.* Its records precede the deletion, and would bring the key back. So
  the deletion waits until a checkpoint says that they are processed.
* *The cluster recovers.* A deletion is in no journal, so a recovery from an older checkpoint brings
  the key back. With checkpoints on, the answer therefore waits for a checkpoint that holds it. If
  the epoch changes before that, there may have been such a recovery: then the answer is an error
  that says so.
* *Keys move.* During a resize nobody can say who owns the key at the end, so it is refused. A
  resize that ended while the request waited may have changed the owner, so the owner is looked up
  afterwards.
"""

from collections.abc import Awaitable, Callable

from wallaroo.coordinator.cluster_state import Phase
from wallaroo.coordinator.run_requests import RequestedRun, check_phase, take_checkpoint
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch

ASK_AGAIN = "ask again: if the key is no longer there, it was deleted"


async def delete_key(run: RequestedRun, ask_owner: Callable[[], Awaitable[bool]]) -> bool:
    """Delete the state of a key; return whether there was one, once nothing can bring it back.

    ``ask_owner`` deletes the key at its present owner, and returns whether it was there.
    """
    check_phase(run, "a deletion", Phase.RUNNING)
    if run.is_durable:
        await _replayed(run)
    if run.is_resizing:
        raise ClusterError("keys are moving to other workers", hint="ask again when that is done")
    epoch = run.epoch
    was_there = await ask_owner()
    if was_there and run.is_durable:
        await _saved(run, epoch)
    return was_there


async def _replayed(run: RequestedRun) -> None:
    """Wait until the records of replayed journals are processed."""
    if run.view.replayed_in != run.epoch:
        await take_checkpoint(run)
    while run.view.replayed_in != run.epoch:
        if run.phase in (Phase.DRAINING, Phase.DRAINED):
            raise ClusterError("the cluster stops", hint="delete the key in the next run")
        await run.change()


async def _saved(run: RequestedRun, epoch: Epoch) -> None:
    """Wait for a checkpoint that holds what was deleted in this epoch."""
    try:
        await take_checkpoint(run)
    except ClusterError as error:
        raise ClusterError(
            f"the key is deleted, but no checkpoint holds that yet: {error.what}",
            hint="the next one holds it; if the cluster recovers before that, the key is back",
        ) from error
    if run.epoch != epoch:
        raise ClusterError(
            "since the key was deleted the cluster has recovered, or its workers have changed: "
            "the key may be back",
            hint=ASK_AGAIN,
        )
