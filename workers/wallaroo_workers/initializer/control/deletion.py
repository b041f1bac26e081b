"""The request that deletes the state of a key; ``wallaroo.coordinator.deletion`` decides."""

from typing import Any

from wallaroo.coordinator.deletion import delete_key
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import Queries
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import WorkerQueries


class Deletion:
    """Deletes keys of states."""

    def __init__(self, reach: Reach, worker_queries: WorkerQueries, queries: Queries) -> None:
        self._reach = reach
        self._worker_queries = worker_queries
        self._queries = queries

    async def delete(self, parameters: Parameters) -> dict[str, Any]:
        """Delete the state of a key; return once nothing can bring it back."""
        place, wait_s = self._queries.find_key(parameters)

        async def ask_owner() -> bool:
            nonlocal place
            place = self._queries.place_of(place.state, place.key)
            found = await self._worker_queries.ask(place.worker, "delete", place.params, wait_s)
            return bool(found["was_there"])

        if not await delete_key(self._reach, ask_owner):
            raise place.not_there()
        latest = self._reach.latest
        checkpoint = None if latest is None else latest().number
        return {**place.facts, "deleted": True, "checkpoint": checkpoint}
