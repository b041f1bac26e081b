"""A run to ask, without processes: a real coordinator, and workers that answer from plain dicts."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.wallaroo.coordinator.played_worker import counted_source
from tests.wallaroo.coordinator.story import Story
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import (
    Effect,
    Event,
    ManifestNotWritten,
    ManifestWritten,
    Received,
    Send,
    StopRequested,
    WriteManifest,
)
from wallaroo.coordinator.run_view import RunView
from wallaroo.errors import WallarooError
from wallaroo.metrics.event_history import EventHistory
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.routing.keys import canonical_key
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application
from wallaroo.wire.control import ControlFrame, Counted
from wallaroo.wire.requests import Query, Replied, from_json, to_json
from wallaroo.worker.state_queries import KeyPages, get_key, key_counts, key_of
from wallaroo_workers.initializer.control.requests import Requests
from wallaroo_workers.initializer.control.run_context import Reach

KEYS = [f"key {number}" for number in range(40)]


class AskedCluster(Story):
    """Workers ``a`` and ``b``; those in ``silent`` never answer."""

    def __init__(
        self, plan: Application, *, is_durable: bool = False, manifest: Any = None
    ) -> None:
        names = (WorkerName("a"), WorkerName("b"))
        self.maps = [
            PartitionMap.initial(
                state.name, state.hashed_partition_count, state.declared_keys, names
            )
            for state in plan.states.values()
        ]
        self.states = {name: {state: KeyedState() for state in plan.states} for name in names}
        self.pages = {name: KeyPages() for name in names}
        self.splits: dict[WorkerName, list[dict[str, Any]]] = {}
        """What workers answer about their splits."""
        self.lags: dict[WorkerName, list[dict[str, Any]]] = {}
        """What they say of the lags in their status."""
        self.silent: set[WorkerName] = set()
        self.queries: list[tuple[WorkerName, Query]] = []
        self.is_resizing = False
        self.resizes: list[tuple[list[str], list[str]]] = []
        self.refusal: WallarooError | None = None
        self.discarded = 0
        self.stopped = asyncio.Event()
        self.view = RunView()
        self.events = EventHistory(lambda: 1.0)
        self.store_is_away = False
        self.manifest = manifest
        super().__init__(is_durable=is_durable, partition_maps=[one.to_wire() for one in self.maps])
        self.view.on_step(None, self.coordinator.start())
        self.requests = Requests(self._reach(plan))

    def _reach(self, plan: Application) -> Reach:
        return Reach(
            plan=plan,
            run=self,
            events=self.events,
            counts=self.failures.counts,
            send=self.send,
            control_address="127.0.0.1:7000",
            source_addresses=["127.0.0.1:7010"],
            latest=(lambda: self.manifest) if self.is_durable else None,
            discard_all=self.discard if self.is_durable else None,
            resize=self.resize,
            resize_in_turn=self.resize,
        )

    def step(self, event: Event) -> list[Effect]:
        effects = self.coordinator.step(event)
        self._note(effects)
        self.view.on_step(event, effects)
        self.requests.stepped(event, effects)
        if self.phase is Phase.STOPPED:
            self.stopped.set()
        return effects

    def on_event(self, event: Event) -> None:
        """Something asks the run; its workers and its store answer a moment later."""
        loop = asyncio.get_running_loop()
        for effect in self.step(event):
            match effect:
                case Send(workers, order):
                    for worker in workers:
                        loop.call_soon(self._obey, worker, order)
                case WriteManifest() if self.store_is_away:
                    loop.call_soon(self.on_event, ManifestNotWritten("the store is away"))
                case WriteManifest():
                    loop.call_soon(self.on_event, ManifestWritten(self.manifest.number, 1))

    def _obey(self, worker: WorkerName, order: ControlFrame) -> None:
        for frame in self.played[worker].answers(order):
            self.on_event(Received(worker, frame))

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        assert isinstance(frame, Query)
        self.queries.append((worker, frame))
        if worker in self.silent:
            return
        result, error = self._result(worker, frame), ""
        if result is None:
            result, error = {}, "a bug"
        reply = Replied(frame.epoch, frame.request, to_json(result), error)
        asyncio.get_running_loop().call_soon(self.requests.replied, worker, reply)

    def _result(self, worker: WorkerName, frame: Query) -> dict[str, Any] | None:
        states = self.states[worker]
        match frame.what:
            case "status":
                # A worker tells its counts before it answers.
                counts = counted_source(worker, 5, 1)
                self.step(Received(worker, Counted(self.epoch, worker, Epoch(1), counts)))
                return {
                    "connections": 1,
                    "records_per_s": 2.5,
                    "backlog_bytes": 7,
                    "keys": key_counts(states),
                    "lags": self.lags.get(worker, []),
                }
            case "logs":
                return {
                    "lines": [{"timestamp": f"2026-01-01T00:00:0{len(worker)}", "event": worker}]
                }
            case "level":
                return {}
            case "splits":
                return {"sources": self.splits.get(worker, [])}
            case "keys":
                return self.pages[worker].page(states, from_json(frame.params))
            case "delete":
                params = from_json(frame.params)
                return {"was_there": states[params["state"]].delete(key_of(params))}
            case _:
                return get_key(states, None, from_json(frame.params))

    async def resize(self, added: Any, leaving: Any) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        self.resizes.append((list(added), list(leaving)))
        return {"added": list(added), "left": list(leaving)}

    async def discard(self) -> dict[str, int]:
        self.discarded += 1
        return {"manifests": 3, "parts": 4, "journals": 5}

    def fill(self, state: str) -> None:
        """Give each key to its owner."""
        (map_,) = [one for one in self.maps if one.state == state]
        for key in KEYS:
            owner = map_.owner_of(canonical_key(key))
            self.states[owner][state].put(canonical_key(key), {"of": key})

    async def ask(
        self,
        method: str,
        progress: Callable[[dict[str, Any]], None] = lambda _: None,
        **params: Any,
    ) -> dict[str, Any]:
        return await self.requests.handle(method, params, progress)

    async def end(self, error: WallarooError | None = None) -> None:
        """Nothing of the run is left."""
        if self.coordinator.phase is not Phase.STOPPED:
            self.step(StopRequested())
        await self.requests.end(error)
