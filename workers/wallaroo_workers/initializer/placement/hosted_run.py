"""What hosts that join and leave ask of the run."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from wallaroo.coordinator.host_registry import RunFacts
from wallaroo.coordinator.run_driver import RunDriver
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import RequestStop
from wallaroo_workers.initializer.control.pending_resizes import PendingResizes


class HostedRun:
    """A run whose workers may live on several hosts."""

    def __init__(
        self,
        driver: RunDriver,
        resizes: PendingResizes,
        start_task: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """``start_task`` runs a coroutine as a task until the run ends."""
        self._driver = driver
        self._resizes = resizes
        self.start_task = start_task

    @property
    def facts(self) -> RunFacts:
        """What decides whether a host can join or leave."""
        return RunFacts(members=self._driver.workers, epoch=self._driver.coordinator.epoch)

    @property
    def is_ending(self) -> bool:
        """Whether a stop was requested."""
        return self._driver.coordinator.ending.is_requested

    def stop_in_order(self, worker: WorkerName) -> None:
        """Stop the cluster at the request of a worker."""
        self._driver.received(worker, RequestStop(Epoch(0)))

    async def resize(self, added: Sequence[str], leaving: Sequence[str]) -> None:
        """Let workers join and others leave; raise ``ClusterError`` if that is not possible."""
        await self._resizes.make_in_turn(added, leaving)
