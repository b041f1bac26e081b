"""A worker in the process of the program that runs the cluster, on the same event loop."""

import asyncio
import gc
import os
import traceback
from functools import partial
from typing import Any, NoReturn

from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.failures import Failure, is_interrupt
from wallaroo.topology.plan import Application
from wallaroo_workers.embedded.given_back import GivenBack
from wallaroo_workers.giving_back import Refused
from wallaroo_workers.initializer.placement.local import KILL_AFTER_S, ProcessEvents
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.worker import Worker


class InProcess:
    """The placement of such workers; there is one at a time."""

    def __init__(self, plan: Application, given_back: GivenBack) -> None:
        self._plan = plan
        self._given_back = given_back
        self._tasks: dict[WorkerName, asyncio.Task[None]] = {}
        self._has_frozen = False
        self.interrupt: BaseException | None = None
        """What has interrupted user code, such as Ctrl-C."""

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a worker, report its end to ``events``, and return the id of this process."""
        tls = None if settings.tls is None else Tls(settings.tls)
        worker = _InProcessWorker(settings, self._plan, tls, self)
        name = WorkerName(settings.name)
        ended = partial(events.worker_lost, name, Epoch(settings.incarnation))
        self._tasks[name] = asyncio.create_task(self._run(worker, ended))
        return os.getpid()

    async def _run(self, worker: "_InProcessWorker", ended: "partial[None]") -> None:
        reason = "it was ended"
        try:
            reason = f"it ended with status {await worker.run()}"
        except (OSError, TimeoutError) as error:
            reason = f"it could not reach the initializer: {error}"
        except Exception as error:  # noqa: BLE001  whatever it is, it ended the worker
            # A process would end with this on its standard error.
            traceback.print_exception(error)
            reason = "it failed; its traceback is on the standard error"
        finally:
            await worker.disconnect()
            ended(reason)

    def kill(self, worker: WorkerName) -> None:
        """End a worker at once."""
        if worker in self._tasks:
            self._tasks[worker].cancel()

    async def ended(self, worker: WorkerName) -> None:
        """Return when a worker has ended."""
        if worker in self._tasks:
            await asyncio.wait([self._tasks[worker]])

    async def stop(self) -> None:
        """Wait for the workers to end; cancel those that do not."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=KILL_AFTER_S)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._has_frozen:
            gc.unfreeze()

    # Called by the worker

    def freeze(self) -> None:
        """Exempt present objects from garbage collection for the time of the run.

        Nothing is done if the program does that itself.
        """
        if not gc.get_freeze_count():
            gc.collect()
            gc.freeze()
            self._has_frozen = True

    def keep(self, sink: int, rows: list[Any]) -> None:
        """Keep rows of a sink."""
        self._given_back.keep(sink, rows)

    def failed(self, failures: list[Failure]) -> None:
        """Keep records that failed."""
        self._given_back.keep_failures(failures)

    def interrupted(self, error: BaseException) -> bool:
        """Return whether an error of user code is meant for this process; if so, note it."""
        if is_interrupt(error):
            self.interrupt = error
            return True
        return False


class _InProcessWorker(Worker):
    """Gives rows and failures back without pickling them."""

    def __init__(
        self, settings: WorkerSettings, plan: Application, tls: Tls | None, home: InProcess
    ) -> None:
        self._home = home
        super().__init__(settings, plan, tls, _stay)

    def give_back(self, sink: int, rows: list[Any]) -> Refused:
        """Keep rows here."""
        self._home.keep(sink, [*rows])
        return []

    def give_back_failures(self, failures: list[Failure]) -> None:
        """Keep failures here."""
        self._home.failed(failures)

    def is_interrupt(self, error: BaseException) -> bool:
        """Return whether an error of user code is meant for this process."""
        return self._home.interrupted(error)

    def before_first_open(self) -> None:
        """Exempt all present objects from garbage collection until the end of the run."""
        self._home.freeze()

    async def disconnect(self) -> None:
        """Close all listeners and connections, as the end of a process does by itself."""
        for listener in self._sources.listeners.values():
            await listener.stop_accepting()
            listener.detach()
        if self._listener is not None:
            self._listener.close()


def _stay(_status: int) -> NoReturn:
    """End the thread that asks for the end of this process, which is the user's."""
    raise SystemExit
