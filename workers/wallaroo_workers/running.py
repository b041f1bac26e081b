"""Runs one worker in this process.

What belongs to the process itself (its standard input, its signals, its end) is given as a
`Lifeline`. So a worker can be started by another parent than the initializer's placement.
"""

import asyncio
import gc
from typing import NoReturn, Protocol

from wallaroo.errors import WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Failed
from wallaroo_workers import forks
from wallaroo_workers.application import load_plan
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.heartbeat import start_pulse
from wallaroo_workers.logs import configure_logs, get_logger
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.stop_signals import StopSignals
from wallaroo_workers.worker import Worker

log = get_logger()

GC_THRESHOLDS = (100_000, 20, 100)
"""Batches keep thousands of young objects alive; Python's defaults look at them far too often."""


class Lifeline(Protocol):
    """Ties a worker's process to whatever started it."""

    def hold(self) -> None:
        """End this process from now on if its initializer is lost.

        That must work even if the application's code never gives the event loop back.
        """
        ...

    def end_process(self, status: int) -> NoReturn:
        """End this process at once with this status, whatever its threads do."""
        ...


def run_worker(settings: WorkerSettings, lifeline: Lifeline, signals: StopSignals) -> int:
    """Import the application and work until the initializer says stop; return the exit status."""
    forks.guard_forks()
    lifeline.hold()
    configure_logs(settings.name, level=settings.options.log_level, form=settings.options.log_form)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        tls = None if settings.tls is None else Tls(settings.tls)
    except WallarooError as error:
        log.error("tls.setup_failed", reason=error.what, hint=error.hint)
        return error.exit_code
    start_pulse(settings, tls)
    try:
        plan = load_plan(settings.application)
    except WallarooError as error:
        return forks.run(_report(settings, tls, error))
    return forks.run(_work(settings, tls, plan, lifeline, signals))


async def _work(
    settings: WorkerSettings,
    tls: Tls | None,
    plan: Application,
    lifeline: Lifeline,
    signals: StopSignals,
) -> int:
    worker = Worker(settings, plan, tls, lifeline.end_process)
    signals.deliver_to(worker.request_stop)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: worker.broken(context))
    try:
        return await worker.run()
    except (OSError, TimeoutError) as error:
        log.error("initializer.unreachable", reason=str(error), next="this worker ends")
        return 1


async def _report(settings: WorkerSettings, tls: Tls | None, error: WallarooError) -> int:
    control = ControlLink(settings.secret, tls)
    await control.dial(settings.control_host, settings.control_port, lambda _: None, lambda _: None)
    what = f"worker {settings.name}: {error.what}"
    name, incarnation = WorkerName(settings.name), Epoch(settings.incarnation)
    control.send(Failed(incarnation, name, what, error.hint, error.exit_code))
    await control.close()
    return error.exit_code
