"""The cluster as the external channel sees it, by way of the requests that everybody uses."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.topology.plan import Application
from wallaroo_workers.external.answers import Membership
from wallaroo_workers.external.shapes import single_states
from wallaroo_workers.logs import get_logger

log = get_logger()

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Makes a request and returns its result; raises ``WallarooError`` where there is none."""

RUNNING = "running"
STARTING = frozenset({"forming", "connecting", "opening"})
KEYS_A_PAGE = 10_000


class RequestView:
    """What requests tell, for the worker ``name``."""

    def __init__(self, name: str, plan: Application, ask: Ask, stop: Callable[[], None]) -> None:
        self._name = name
        self._plan = plan
        self._ask = ask
        self._stop = stop
        self._has_run = False
        self._leaving: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def membership(self) -> Membership:
        """Return who is in it now, without those that were told to leave."""
        status = await self._ask("status", {"brief": True})
        phase = status["phase"]
        self._has_run = self._has_run or phase not in STARTING
        workers = [worker["name"] for worker in status["workers"]]
        self._leaving &= set(workers)
        return Membership(
            tuple(name for name in workers if name not in self._leaving),
            is_initialized=self._has_run,
            is_processing=phase == RUNNING,
        )

    async def owners(self) -> Mapping[str, str]:
        """Return the worker of each state that has one object only."""
        singles = single_states(self._plan)
        if not singles:
            return {}
        found = await self._ask("partitions", {})
        return {
            state["name"]: worker
            for state in found["states"]
            if state["name"] in singles
            for worker, count in state["by_worker"].items()
            if count
        }

    async def keys(self) -> Mapping[str, list[str]]:
        """Return the keys of every state on this worker."""
        return {state: await self._keys_of(state) for state in self._plan.states}

    async def _keys_of(self, state: str) -> list[str]:
        keys: list[str] = []
        after: dict[str, Any] = {}
        while True:
            params = {"state": state, "worker": self._name, "list": True, "limit": KEYS_A_PAGE}
            page = await self._ask("keys", params | {"after": after})
            for problem in page["problems"].values():
                raise WallarooError(problem)
            keys += [_as_there(each["type"], each["key"]) for each in page["keys"]]
            if page["next"] is None:
                return keys
            after = page["next"]

    async def key_counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many keys each worker has, by state."""
        found = await self._ask("keys", {})
        for problem in found["problems"].values():
            raise WallarooError(problem)
        return {state["name"]: state["by_worker"] for state in found["states"]}

    def shrink(self, workers: list[str]) -> None:
        """Remove these workers; the log reports the result."""
        self._leaving |= set(workers)
        task = asyncio.create_task(self._shrink(workers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shrink(self, workers: list[str]) -> None:
        try:
            await self._ask("shrink", {"names": workers, "in_turn": True})
        except WallarooError as error:
            self._leaving -= set(workers)
            log.error("shrink.failed", workers=", ".join(workers), reason=error.what)

    def stop(self) -> None:
        """Stop the cluster in order."""
        self._stop()


def _as_there(kind: str, text: str) -> str:
    """Return a key as the original shows it: a text as it is, whatever is in it."""
    return str(json.loads(text)) if kind == "json" and text.startswith('"') else text
