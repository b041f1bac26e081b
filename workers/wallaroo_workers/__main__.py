"""Entry of a worker process: settings from standard input, then work until told to stop."""

import asyncio
import gc
import signal
import sys

import structlog
import uvloop

from wallaroo.errors import WallarooError
from wallaroo.names import Epoch
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import Failed
from wallaroo_workers.application import load_plan
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.logs import configure_logs
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.worker import Worker

log = structlog.get_logger()

GC_THRESHOLDS = (100_000, 20, 100)
"""Batches keep thousands of young objects alive; Python's defaults look at them far too often."""


def main() -> int:
    """Run one worker; return its exit status."""
    # Ctrl-C reaches every process of the terminal; the initializer decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = WorkerSettings.from_json(sys.stdin.buffer.read())
    configure_logs(settings.name, debug=settings.options.debug)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        plan = load_plan(settings.application)
    except WallarooError as error:
        return uvloop.run(_report(settings, error))
    return uvloop.run(_work(settings, plan))


async def _work(settings: WorkerSettings, plan: Plan) -> int:
    worker = Worker(settings, plan)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.request_stop)
    loop.set_exception_handler(lambda _, context: worker.broken(context))
    try:
        return await worker.run()
    except (OSError, TimeoutError) as error:
        log.error("initializer.not_reached", reason=str(error))
        return 1


async def _report(settings: WorkerSettings, error: WallarooError) -> int:
    control = ControlLink(settings.secret)
    await control.dial(settings.control_host, settings.control_port, lambda _: None, lambda _: None)
    what = f"worker {settings.name}: {error.what}"
    control.send(Failed(Epoch(settings.incarnation), what, error.hint, error.exit_code))
    await control.close()
    return error.exit_code


if __name__ == "__main__":
    assert __debug__, "assertions are part of the design; run without python -O"
    sys.exit(main())
