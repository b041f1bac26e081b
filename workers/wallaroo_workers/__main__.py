"""Entry of a worker process: settings from standard input, then work until told to stop."""

import asyncio
import atexit
import gc
import os
import signal
import sys
import threading

from wallaroo.errors import WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Failed
from wallaroo_workers import forks
from wallaroo_workers.application import load_plan
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST, ControlLink
from wallaroo_workers.ending import ending_in_time
from wallaroo_workers.heartbeat import start_pulse
from wallaroo_workers.leftovers import Leftovers
from wallaroo_workers.logs import configure_logs, get_logger
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.streams import open_missing_streams
from wallaroo_workers.worker import Worker

log = get_logger()

ORDERLY_END_S = 2.0
GC_THRESHOLDS = (100_000, 20, 100)
"""Batches keep thousands of young objects alive; Python's defaults look at them far too often."""


def main(leftovers: Leftovers) -> int:
    """Run one worker; return its exit status."""
    # Ctrl-C reaches every process of the terminal; the initializer decides what it means. A
    # function, since programs that the application starts would go on ignoring the signal.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    open_missing_streams()
    settings = WorkerSettings.from_json(_first_line(0))
    forks.guard_forks()
    # Should the initializer be lost, nobody else ends what the application has started. Functions
    # registered later, such as the application's, run before.
    atexit.register(leftovers.end_own)
    pipe = forks.ours(os.dup(0))
    threading.Thread(target=_end_with_initializer, args=(pipe, leftovers), daemon=True).start()
    # The application has no standard input: the pipe is the initializer's.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
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
    return forks.run(_work(settings, tls, plan))


def _first_line(descriptor: int) -> bytes:
    """Return what stands before the first newline; what comes behind it stays in the pipe."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _end_with_initializer(descriptor: int, leftovers: Leftovers) -> None:
    """End this process when the initializer is gone, even in the middle of a computation.

    The pipe from the initializer ends with it. The event loop notices too, by the control link,
    and ends in order; it cannot while the application's code keeps it.
    """
    while os.read(descriptor, 1):
        pass
    threading.Event().wait(ORDERLY_END_S)
    leftovers.end_own()
    os._exit(STATUS_INITIALIZER_LOST)


async def _work(settings: WorkerSettings, tls: Tls | None, plan: Application) -> int:
    worker = Worker(settings, plan, tls)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.request_stop)
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


if __name__ == "__main__":
    assert __debug__, "assertions are part of the design; run without python -O"
    _leftovers = Leftovers.of_this_process()
    with ending_in_time(_leftovers.end_own):
        sys.exit(main(_leftovers))
