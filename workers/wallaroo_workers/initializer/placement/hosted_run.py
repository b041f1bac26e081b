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
        driver = self._driver
        return RunFacts(
            members=driver.workers, used=driver.view.used_names, epoch=driver.coordinator.epoch
        )

    @property
    def is_ending(self) -> bool:
        """Whether a stop was requested."""
        return self._driver.coordinator.ending.is_requested

    def stop_in_order(self, worker: WorkerName) -> None:
        """Stop the cluster at the request of a worker."""
        self._driver.received(worker, RequestStop(Epoch(0)))

    async def resize(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """Let workers join and others leave, once the cluster runs and no other request is under
        way; return the facts. Raises ``ClusterError`` if that is not possible."""
        return await self._resizes.make_in_turn(added, leaving)

    async def resize_now(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """As ``resize``, unless the cluster is busy; return the facts of the resize."""
        return await self._resizes.make(added, leaving)
