"""Counts and measurements that a worker reports each second, and long pauses that it logs."""

import asyncio
import time

from wallaroo.ingest.sources import Sources
from wallaroo.names import WorkerName
from wallaroo.operators.failures import Failure
from wallaroo.wire.control import Measured
from wallaroo.worker.machine import WorkerMachine
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.logs import get_logger
from wallaroo_workers.measuring import Measuring
from wallaroo_workers.pause_watch import PauseWatch
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.sinks.process_sinks import ProcessSinks

log = get_logger()


class WorkerReports:
    """The reports of one worker process; ``measuring`` is ``None`` if nothing is measured."""

    def __init__(
        self,
        machine: WorkerMachine,
        settings: WorkerSettings,
        sources: Sources,
        sinks: ProcessSinks,
        measuring: Measuring | None,
        control: ControlLink,
    ) -> None:
        self._machine = machine
        self._name = WorkerName(settings.name)
        self._reports_failures = settings.options.reports_failures
        self._sources = sources
        self._sinks = sinks
        self._measuring = measuring
        self._control = control
        self._pause_watch = PauseWatch()
        self._reported_second = 0
        self._has_failures = False
        """Whether failures are to be reported with the next tick."""

    def records_failed(self, failures: list[Failure]) -> None:
        """Note records that became dead letters."""
        self._has_failures = self._reports_failures
        if self._measuring is not None:
            self._measuring.failed(failures)

    def sample_sinks(self) -> None:
        """Note how much the sinks have acknowledged so far."""
        if self._measuring is None:
            self._sinks.settle()
        else:
            self._measuring.note_settled(self._sinks)

    def send_measured(self) -> None:
        """Send what was measured since the last time."""
        if self._measuring is None:
            return
        machine = self._machine
        report = self._measuring.report(
            machine.dataflow, machine.engine, machine.mesh, self._sources, self._sinks
        )
        self._control.send(Measured(machine.epoch, self._name, report.to_wire()))

    def ticked(self, every_s: float) -> None:
        """Do what is due when the worker's timer of ``every_s`` fires.

        Counts and measurements are sent as each second starts, so that those of all workers have
        arrived when the initializer adds them up. If failures have a limit, counts are sent with
        each tick that follows a failure.
        """
        self._log_long_pause()
        second = int(time.time())
        is_due, self._reported_second = second != self._reported_second, second
        if is_due or self._has_failures:
            self._has_failures = False
            self._machine.send_counts()
        if self._measuring is not None:
            now_s = asyncio.get_running_loop().time()
            self._measuring.ticked(now_s, every_s, is_paused=self._machine.must_pause)
            if is_due:
                self.send_measured()

    def _log_long_pause(self) -> None:
        now_s = asyncio.get_running_loop().time()
        mesh = self._machine.mesh
        paused_s = self._pause_watch.poll(now_s, is_paused=mesh.pressure.must_pause)
        if paused_s is not None:
            log.warning(
                "sources.paused",
                for_s=round(paused_s),
                slow_workers=", ".join(
                    [*mesh.pressure.causes, *[self._name] * mesh.pressure.is_under_pressure]
                ),
                inbox_bytes=self._machine.engine.inbox.byte_count,
                link_bytes=mesh.backlog_bytes,
                sink_bytes=self._sinks.backlog_bytes,
                hint="a sink or a worker does not keep up",
                next="senders wait until it does",
            )
