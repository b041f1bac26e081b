"""What requests need of the run that they ask about."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import Event
from wallaroo.coordinator.run_view import RunView
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.metrics.event_history import EventHistory
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import ControlFrame

Resize = Callable[[Sequence[str], Sequence[str]], Awaitable[dict[str, Any]]]
"""Lets workers join and others leave; raises ``ClusterError`` with the reason where it cannot."""


@dataclass(slots=True, kw_only=True)
class Reach:
    """One run, as far as requests reach into it."""

    plan: Plan
    members: Callable[[], Sequence[WorkerName]]
    """Without those that are on their way to become one."""
    watch: RunView
    events: EventHistory
    counts: RunCounts
    phase: Callable[[], Phase]
    epoch: Callable[[], Epoch]
    waiting_for: Callable[[], list[WorkerName]]
    """The workers that have not done what the phase waits for."""
    on_event: Callable[[Event], None]
    send: Callable[[WorkerName, ControlFrame], None]
    control_address: str
    source_addresses: list[str]
    """By pipeline; empty where a pipeline has no listening source."""
    latest: Callable[[], Manifest] | None
    """The last checkpoint, or the claim that the run began with; ``None`` without checkpoints."""
    discard_all: Callable[[], Awaitable[dict[str, int]]] | None
    """Deletes all that the run keeps for the next one; ``None`` without checkpoints."""
    resize: Resize
    is_resizing: Callable[[], bool]
    """Whether such a request is under way."""
    resize_in_turn: Resize
    """The same, once the cluster runs and no other change of the members is under way."""
    started_unix_s: float = field(default_factory=time.time)
    _changed: list[asyncio.Future[None]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once nothing of the run is left."""
    error: WallarooError | None = None
    """What ended the run."""

    def __post_init__(self) -> None:
        self.watch.on_change = self.wake

    def wake(self) -> None:
        """Something happened: those who wait may look again."""
        waiting, self._changed = self._changed, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def change(self) -> None:
        """Return when something has happened. Raises ``ClusterError`` once the run is over."""
        if self.phase() is Phase.STOPPED or self.ended.is_set():
            raise ClusterError("the cluster has stopped")
        waiting = asyncio.get_running_loop().create_future()
        self._changed.append(waiting)
        await waiting

    def check_phase(self, what: str, *allowed: Phase) -> None:
        """Raise ``ClusterError`` where the cluster is in no phase in which ``what`` can be done."""
        phase = self.phase()
        if phase in allowed:
            return
        ends = (Phase.DRAINING, Phase.DRAINED, Phase.STOPPED)
        hint = (
            "it takes no more records; the next run can do that"
            if phase in ends
            else "wait until it runs again; wallaroo-cluster status shows it"
        )
        raise ClusterError(f"{what} is not possible now: the cluster is {phase.value}", hint=hint)
