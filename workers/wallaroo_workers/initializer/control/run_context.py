"""What the handlers of requests need from the run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.coordinator.coordinator import Coordinator, Phase
from wallaroo.coordinator.events import Event
from wallaroo.coordinator.run_view import RunView
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.metrics.event_history import EventHistory
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.wire.control import ControlFrame

Resize = Callable[[Sequence[str], Sequence[str]], Awaitable[dict[str, Any]]]
"""Lets workers join and others leave; raises ``ClusterError`` if that is not possible."""


class AskedRun(Protocol):
    """The run that requests read and change: a ``RunDriver``."""

    coordinator: Coordinator
    view: RunView

    @property
    def is_resizing(self) -> bool:
        """Whether a resize is under way."""
        ...

    def on_event(self, event: Event) -> None:
        """Carry out what follows from an event."""
        ...


@dataclass(slots=True, kw_only=True)
class Reach:
    """The parts of one run that requests read and change."""

    plan: Application
    run: AskedRun
    events: EventHistory
    counts: RunCounts
    send: Callable[[WorkerName, ControlFrame], None]
    control_address: str
    source_addresses: list[str]
    """By pipeline; empty if its source does not listen."""
    latest: Callable[[], Manifest] | None
    """The last checkpoint, or the claim that the run started with; ``None`` without checkpoints."""
    discard_all: Callable[[], Awaitable[dict[str, int]]] | None
    """Deletes everything that the run keeps for the next one; ``None`` without checkpoints."""
    resize: Resize
    resize_in_turn: Resize
    """As ``resize``, once the cluster runs and no other resize is under way."""
    started_unix_s: float = field(default_factory=time.time)
    _changed: list[asyncio.Future[None]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once nothing of the run is left."""
    error: WallarooError | None = None
    """The error that ended the run, if any."""

    @property
    def view(self) -> RunView:
        """What is known about the run from its events."""
        return self.run.view

    @property
    def members(self) -> Sequence[WorkerName]:
        """The members, without workers that are about to join."""
        return self.run.coordinator.workers

    @property
    def phase(self) -> Phase:
        """The phase of the cluster."""
        return self.run.coordinator.phase

    @property
    def waiting_for(self) -> list[WorkerName]:
        """The workers that the phase still waits for."""
        return self.run.coordinator.waiting_for

    @property
    def epoch(self) -> Epoch:
        """The current epoch."""
        return self.run.coordinator.epoch

    @property
    def is_resizing(self) -> bool:
        """Whether a resize is under way."""
        return self.run.is_resizing

    @property
    def is_durable(self) -> bool:
        """Whether checkpoints are on."""
        return self.latest is not None

    def on_event(self, event: Event) -> None:
        """Carry out what follows from an event."""
        self.run.on_event(event)

    def wake(self) -> None:
        """Wake every request that waits for a change."""
        waiting, self._changed = self._changed, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def end(self, error: WallarooError | None) -> None:
        """Note that nothing of the run is left, and which error ended it."""
        self.error = error
        self.ended.set()
        self.wake()

    async def change(self) -> None:
        """Wait for the next change. Raises ``ClusterError`` once the run is over."""
        if self.phase is Phase.STOPPED or self.ended.is_set():
            raise ClusterError("the cluster has stopped")
        waiting = asyncio.get_running_loop().create_future()
        self._changed.append(waiting)
        await waiting
