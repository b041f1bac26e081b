"""The request that deletes the state of a key.

Its owner deletes the key between two records. After a recovery journals are replayed, and their
records precede the deletion, so it waits until a checkpoint says that they are processed. With
checkpoints on, it is answered only once a checkpoint holds it. A deletion is not in any journal, so
a recovery from an older checkpoint brings the key back. If the epoch changes before the checkpoint
is committed, there may have been such a recovery: then the answer is an error that says so.
"""

from typing import Any

from wallaroo.coordinator.coordinator import Phase
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch
from wallaroo_workers.initializer.control.commands import Commands
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import Queries
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import WorkerQueries

ASK_AGAIN = "ask again; if there is no such key then, it is deleted"


class Deletion:
    """Deletes keys of states."""

    def __init__(
        self, reach: Reach, worker_queries: WorkerQueries, queries: Queries, commands: Commands
    ) -> None:
        self._reach = reach
        self._worker_queries = worker_queries
        self._queries = queries
        self._commands = commands

    async def delete(self, parameters: Parameters) -> dict[str, Any]:
        """Delete the state of a key; return once nothing can bring it back."""
        place, wait_s = self._queries.find_key(parameters)
        reach = self._reach
        reach.check_phase("a deletion", Phase.RUNNING)
        if reach.latest is not None:
            await self._replayed()
        if reach.run.is_resizing:
            raise ClusterError(
                "keys are moving to other workers", hint="ask again when that is done"
            )
        epoch = reach.epoch
        found = await self._worker_queries.ask(place.worker, "delete", place.params, wait_s)
        if not found["was_there"]:
            raise place.not_there()
        checkpoint = None if reach.latest is None else await self._saved(epoch)
        return {**place.facts, "deleted": True, "checkpoint": checkpoint}

    async def _replayed(self) -> None:
        """Wait until the records of replayed journals are processed."""
        reach = self._reach
        if reach.view.replayed_in != reach.epoch:
            await self._commands.new_checkpoint()
        while reach.view.replayed_in != reach.epoch:
            if reach.phase in (Phase.DRAINING, Phase.DRAINED):
                raise ClusterError("the cluster stops", hint="delete the key in the next run")
            await reach.change()

    async def _saved(self, epoch: Epoch) -> int:
        """Return the number of a checkpoint that holds what was deleted in this epoch."""
        try:
            manifest = await self._commands.new_checkpoint()
        except ClusterError as error:
            raise ClusterError(
                f"the key is deleted, but no checkpoint holds that yet: {error.what}",
                hint="the next one holds it; if the cluster recovers before that, the key is back",
            ) from error
        if self._reach.epoch != epoch:
            raise ClusterError(
                "since the key was deleted the cluster has recovered, or its workers have changed: "
                "the key may be back",
                hint=ASK_AGAIN,
            )
        return manifest.number
