"""What a run needs from its process, which may be real or simulated."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from wallaroo.coordinator.events import Announce, Effect, Event, StartWorker, WriteManifest
from wallaroo.errors import WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import ControlFrame


class RunPorts(Protocol):
    """What a run needs from its process."""

    def now_s(self) -> float:
        """Return the time, in seconds from any origin."""
        ...

    def call_later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Call a function once, after a delay."""
        ...

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task."""
        ...

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Send a frame to a worker; do nothing if its link is closed."""
        ...

    def launch(self, order: StartWorker) -> None:
        """Start a worker's process; report ``process_started`` or ``process_not_started``.

        Report ``worker_lost`` when it has ended, and ``process_ended`` once nothing is left of it.
        """
        ...

    def kill(self, worker: WorkerName) -> None:
        """Kill what is left of a worker's process."""
        ...

    def announce(self, line: Announce) -> None:
        """Log a line."""
        ...

    def decided(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Note the effects of an event before they are carried out; ``None`` is the start."""
        ...

    def not_ready(self) -> None:
        """Note that the application accepts no records, or none any more."""
        ...

    def ready(self, epoch: Epoch, *, is_again: bool) -> None:
        """Note that the application accepts records, for the first time or again."""
        ...

    def checkpoint_written(self, order: WriteManifest) -> None:
        """Note that a checkpoint is committed."""
        ...

    def ended(self, error: WallarooError | None) -> None:
        """End what is left of the run."""
        ...
