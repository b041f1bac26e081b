"""What a simulated process provides for a run: virtual time, tasks, links, other processes."""

from collections.abc import Callable, Coroutine
from typing import Any

from wallaroo.coordinator.events import StartWorker, WriteManifest
from wallaroo.names import Epoch, WorkerName
from wallaroo.testing.loop import Process
from wallaroo.testing.processes import SimulatedProcesses
from wallaroo.wire.control import ControlFrame


class ProcessPorts:
    """The ports of a run that need nothing but its process and the processes of its workers."""

    def __init__(self, process: Process, processes: SimulatedProcesses) -> None:
        self.process = process
        self._processes = processes

    def now_s(self) -> float:
        """Return the virtual time."""
        return self.process.loop.now_s

    def call_later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Call this in the initializer's process."""
        self.process.call_later(delay_s, call)

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the initializer's process."""
        self.process.start(work)

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Send a frame over the simulated control link."""
        self._processes.send(worker, frame)

    def launch(self, order: StartWorker) -> None:
        """Start a simulated process."""
        self._processes.launch(order)

    def kill(self, worker: WorkerName) -> None:
        """End a simulated process."""
        self._processes.kill(worker)

    def not_ready(self) -> None:
        """Do nothing: the simulation looks at the phase."""

    def ready(self, epoch: Epoch, *, is_again: bool) -> None:
        """Do nothing: the simulation looks at the phase."""

    def checkpoint_written(self, order: WriteManifest) -> None:
        """Do nothing: the simulation reads the manifests."""
