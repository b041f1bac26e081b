"""The runner of a simulated sink that is exactly once."""

from collections.abc import Callable
from typing import Any

from wallaroo.names import CheckpointId
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.testing.store import SimulatedStore
from wallaroo.testing.targets import TargetPorts, Targets
from wallaroo.worker.outbox import Outbox
from wallaroo.worker.sink_port import FinishCut, OutboxSetup, cut_outbox

LOOK_S = 0.01


class OnceSink:
    """One sink of one simulated worker, as a ``SinkRunner`` with an outbox."""

    stream = None
    preparing = None

    def __init__(
        self,
        process: Process,
        store: SimulatedStore,
        targets: Targets,
        chaos: Chaos,
        on_progress: Callable[[], None],
    ) -> None:
        self._process = process
        self._store = store
        self._targets = targets
        self._chaos = chaos
        self._on_progress = on_progress
        self.outbox = self
        self._ports: TargetPorts | None = None

    def new_outbox(self, setup: OutboxSetup) -> Outbox:
        """Return an outbox that this runner serves from now on."""
        self._ports = TargetPorts(
            self._process, self._store, self._targets, self._chaos, setup, self._on_progress
        )
        return self._ports.outbox

    @property
    def _outbox(self) -> Outbox:
        assert self._ports is not None, "no outbox was begun"
        return self._ports.outbox

    @property
    def backlog_bytes(self) -> int:
        """Bytes that hold the sources back."""
        return 0 if self._ports is None else self._outbox.backlog_bytes

    @property
    def settled_bytes(self) -> int:
        """Bytes of results that the target has."""
        return self._outbox.delivered_bytes

    def settle(self) -> None:
        """Do nothing: answers arrive by themselves."""

    def write(self, rows: list[Any]) -> int:
        """Add results to the outbox."""
        return self._outbox.add(rows)

    async def connected(self) -> None:
        """Wait until nothing is in doubt, and the slot is open."""
        await self._until(lambda: self._outbox.is_ready)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._process.pause(LOOK_S)

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """End the batch before the barrier."""
        return self._cut(checkpoint, self._outbox.is_settled)

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """End the batch before the barrier: new owners' results are delivered behind it."""
        return self._cut(checkpoint, self._outbox.is_durable)

    def _cut(self, checkpoint: CheckpointId, is_complete: Callable[[], bool]) -> FinishCut:
        return cut_outbox(self._outbox, checkpoint, is_complete, self._until)

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: the worker's outboxes know."""

    async def discard(self) -> None:
        """Drop what is not delivered, behind the request that is under way."""
        ports = self._ports
        if ports is not None:
            ports.outbox.discard()
            await self._until(lambda: not ports.request_count)

    async def flush(self) -> None:
        """Wait until the target has everything."""
        await self._until(lambda: not self._outbox.undelivered_bytes)

    def close(self) -> None:
        """Do nothing: the target has everything."""
