"""The processes of one run's workers: started, started again after a loss, ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from wallaroo.coordinator.events import StartWorker
from wallaroo.coordinator.restart_policy import RestartPolicy
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo_workers.initializer.placement.local import KILL_AFTER_S, Placement
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import WorkerSettings

log = get_logger()


class WorkerProcesses:
    """At most one process for each worker at a time."""

    def __init__(
        self,
        placement: Placement,
        settings_of: Callable[[StartWorker], WorkerSettings],
        on_ended: Callable[[WorkerName, Epoch], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
        give_up: Callable[[WallarooError], None],
        restarts_max: int,
    ) -> None:
        """``on_ended`` is called when nothing is left of a process, and it writes no more."""
        self._placement = placement
        self._settings_of = settings_of
        self._on_ended = on_ended
        self._start_task = start
        self._give_up = give_up
        self._restarts_max = restarts_max
        self.is_over = False
        """Nothing is to be started any more."""
        self._restarts: dict[WorkerName, RestartPolicy] = {}
        self._orders: dict[WorkerName, StartWorker] = {}
        """The last one for each worker that is wanted."""
        self._turns: dict[WorkerName, asyncio.Lock] = {}
        self._incarnations: dict[WorkerName, Epoch] = {}
        """Of the processes that were started and of which the end was not waited for."""
        self.pids: dict[WorkerName, int] = {}

    def start(self, order: StartWorker) -> None:
        """Have a process run for this order, in place of an older one."""
        worker = order.worker
        self._orders[worker] = order
        self._placement.kill(worker)
        delay_s = 0.0
        if order.is_restart:
            policy = self._restarts.setdefault(worker, RestartPolicy(self._restarts_max))
            if (back_off_s := policy.lost(time.monotonic())) is None:
                self._give_up(
                    ClusterError(
                        f"worker {worker} was lost {policy.restarts_max + 1} times "
                        f"within {policy.window_s:g} s",
                        hint="something ends the worker again and again; see its last log lines",
                    )
                )
                return
            delay_s = back_off_s
        self._start_task(self._start(order, delay_s))

    async def _start(self, order: StartWorker, delay_s: float) -> None:
        if order.is_restart:
            following = "a new process of it starts"
            log.info("worker.restarting", worker=order.worker, after_s=delay_s, next=following)
            await asyncio.sleep(delay_s)
        if not self._is_wanted(order):
            return
        async with self._turn_of(order.worker):
            # What is left of the one before must not write any more when its successor reads.
            await self._wait_ended(order.worker)
            await self._start_one(order)

    def _turn_of(self, worker: WorkerName) -> asyncio.Lock:
        return self._turns.setdefault(worker, asyncio.Lock())

    def _is_wanted(self, order: StartWorker) -> bool:
        return not self.is_over and self._orders.get(order.worker) is order

    async def _wait_ended(self, worker: WorkerName) -> None:
        await self._placement.ended(worker)
        ended = self._incarnations.pop(worker, None)
        if ended is not None:
            self._on_ended(worker, ended)

    async def _start_one(self, order: StartWorker) -> None:
        if not self._is_wanted(order):
            return
        self._incarnations[order.worker] = order.incarnation
        try:
            self.pids[order.worker] = await self._placement.start(self._settings_of(order))
        except ClusterError as error:
            if not order.is_joining:
                raise
            # It is no member yet: the others go on without it.
            reason = f"it cannot be started: {error}"
            self._placement.on_exit(order.worker, order.incarnation, reason)
            return
        if self._orders.get(order.worker) is not order:
            # A later order came while it was being started, and found nothing to end.
            self._placement.kill(order.worker)

    def end(self, worker: WorkerName, *, is_told: bool) -> None:
        """This worker is wanted no more; one that was told to stop gets some seconds for it."""
        self._orders.pop(worker, None)
        if not is_told:
            self._placement.kill(worker)
        self._start_task(self._end(worker))

    async def _end(self, worker: WorkerName) -> None:
        async with self._turn_of(worker):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_AFTER_S):
                    await self._placement.ended(worker)
            self._placement.kill(worker)
            await self._wait_ended(worker)
            self.pids.pop(worker, None)
