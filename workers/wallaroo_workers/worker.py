"""One worker process: provides the worker's machines with sockets, disks, tasks and a clock."""

import asyncio
import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from wallaroo.checkpoint.pickling import ImportedClasses, StatePickler
from wallaroo.checkpoint.restorer import UnreadableKey
from wallaroo.errors import StoreError, WallarooError
from wallaroo.ingest.connection_handover import HandOverEvents
from wallaroo.ingest.source_ports import SourceEvents
from wallaroo.ingest.sources import Sources
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.metrics.deliveries import Deliveries
from wallaroo.metrics.tally import Counts
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.runtime.engine import Engine
from wallaroo.statuses import ExitStatus
from wallaroo.topology.plan import Application
from wallaroo.wire.control import (
    FAILURES,
    ControlFrame,
    Drained,
    Failed,
    GivenBack,
    RequestStop,
    Stop,
)
from wallaroo.wire.data_frames import LinkHello
from wallaroo.wire.requests import Query
from wallaroo.worker.machine import WorkerMachine
from wallaroo.worker.sink_port import SinkEvents
from wallaroo_workers import forks
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST, ControlLink
from wallaroo_workers.dead_letters import DeadLetters
from wallaroo_workers.durable_storage import open_durable
from wallaroo_workers.ending import exit_status
from wallaroo_workers.giving_back import FAILURES_MAX, Refused, pickled_in_parts
from wallaroo_workers.logs import get_logger
from wallaroo_workers.loop_watch import LoopWatch
from wallaroo_workers.measuring import Measuring
from wallaroo_workers.network.incoming import LinkListener
from wallaroo_workers.network.outgoing import DialedLink
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.query_answers import Answers
from wallaroo_workers.resources import WorkerResources
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.sinks.process_sinks import ProcessSinks, new_sinks
from wallaroo_workers.sources.fd_handover import UnixHandOver
from wallaroo_workers.sources.process_sources import new_sources
from wallaroo_workers.task_calls import RunningLoop, TaskCalls
from wallaroo_workers.unreadable_keys import UnreadableKeys
from wallaroo_workers.worker_reports import WorkerReports

log = get_logger()

TICK_S = 0.05
STATUS_BROKEN = ExitStatus.BROKEN


class Worker:
    """All of one worker process, as ``WorkerPorts``; ``run`` returns its exit status."""

    clock = staticmethod(time.perf_counter)
    wall_ns = staticmethod(time.time_ns)

    def __init__(
        self,
        settings: WorkerSettings,
        plan: Application,
        tls: Tls | None,
        end_process: Callable[[int], NoReturn],
    ) -> None:
        """``end_process`` ends this process at once, with this status."""
        options = settings.options
        plan = plan.with_partitions(options.partition_count)
        self._settings = settings
        self._end_process = end_process
        self._loop_watch = LoopWatch(threading.get_ident(), lambda: end_process(ExitStatus.STUCK))
        self._tls = tls
        self._control = ControlLink(settings.secret, tls)
        self._listener: LinkListener | None = None
        self._tasks: asyncio.TaskGroup
        self._running: list[asyncio.Task[None]] = []
        self._of_epoch: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[int]
        self._failures_given = 0
        self._is_stopping = False
        """Whether the initializer has ordered this worker to stop."""
        self.name = WorkerName(settings.name)
        self.pid = os.getpid()
        self.plan = plan
        self.durable = open_durable(settings)
        # The application is imported, and no record has been seen.
        self.pickler = StatePickler(ImportedClasses.of_this_process())
        self.calls = TaskCalls()
        self.loop = RunningLoop()
        self._resources = WorkerResources(plan)
        self._dead_letters = DeadLetters.of_worker(settings, plan.name)
        self._measuring = Measuring(self.name, plan) if options.measures else None
        self._sources: Sources
        self._sinks: ProcessSinks
        self._hand_over: UnixHandOver
        self._machine = WorkerMachine(self, Epoch(settings.incarnation))
        self._reports = WorkerReports(
            self._machine, settings, self._sources, self._sinks, self._measuring, self._control
        )
        self._answers = Answers(
            machine=self._machine, sources=self._sources, sinks=self._sinks, send=self.send
        )
        # If user code forks and the child returns from it, the child has to end. The clock is the
        # first thing that the engine calls after each slice of records.
        forks.when_copied(lambda: self._machine.engine.use_clock(forks.end_returned_child))

    # What the worker's machines ask for

    @property
    def deliveries(self) -> Deliveries | None:
        """What measures the latency of results."""
        return None if self._measuring is None else self._measuring.deliveries

    def new_sources(self, engine: Engine, events: SourceEvents) -> Sources:
        """Return all sources."""
        journal = None if self.durable is None else self.durable.journal
        self._sources = new_sources(
            self.plan,
            engine,
            self._settings,
            journal,
            events,
            on_stuck=lambda: self.end(ExitStatus.STUCK),
        )
        return self._sources

    def new_sinks(self, events: SinkEvents) -> ProcessSinks:
        """Return all sinks."""
        durable, options = self.durable, self._settings.options
        stage = None if durable is None else durable.journal.name
        store = None if durable is None else durable.store
        give_back = self.give_back if options.gives_back else None
        self._sinks = new_sinks(self.plan, self.name, options, stage, store, events, give_back)
        return self._sinks

    def give_back(self, sink: int, rows: list[Any]) -> Refused:
        """Give rows of a sink to the program that runs the cluster; return those that cannot be."""
        parts, refused = pickled_in_parts(rows)
        for data in parts:
            self._control.send(GivenBack(self._machine.epoch, sink, data))
        return refused

    def give_back_failures(self, failures: list[Failure]) -> None:
        """Give failures, up to a limit, to the program that runs the cluster."""
        some = failures[: max(FAILURES_MAX - self._failures_given, 0)]
        self._failures_given += len(some)
        for data in pickled_in_parts(some)[0]:
            self._control.send(GivenBack(self._machine.epoch, FAILURES, data))

    def new_hand_over(self, events: HandOverEvents) -> UnixHandOver:
        """Return what hands over connections of senders through a Unix socket."""
        settings = self._settings
        self._hand_over = UnixHandOver(
            settings.private_folder,
            settings.secret,
            settings.options.frame_bytes_max,
            frozenset(range(len(self.plan.pipelines))),
            events,
        )
        return self._hand_over

    def new_dataflow(self) -> Dataflow:
        """Return the chains and empty states of an epoch."""
        options = self._settings.options
        return Dataflow(
            self.plan,
            self.name,
            DataflowOptions(
                form=None if options.exchange == "auto" else BatchFormat[options.exchange.upper()],
                clock=time.perf_counter,
                stop_on_error=options.stop_on_error,
                tracks_changes=self.durable is not None,
                on_exit=self._exit_for_application if options.exit_ends_worker else None,
                clock_ns=time.perf_counter_ns if options.measures else None,
                is_interrupt=self.is_interrupt,
                resources=self._resources.made,
                wall_ns=time.time_ns,
            ),
        )

    def is_interrupt(self, error: BaseException) -> bool:
        """Return whether an error of user code is meant for this process."""
        return False

    def new_pressure(self) -> Pressure:
        """Return what compares the backlogs of an epoch."""
        return Pressure()

    def dial(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
    ) -> OutgoingLink:
        """Return a link over TCP that is kept connected."""
        secret, tls = self._settings.secret, self._tls
        link = DialedLink(hello, address, pressure, on_progress, dialer_count, secret, tls)
        self.start(link.run())
        return link

    async def listen(self, mesh: Mesh) -> str:
        """Accept links for this mesh; return the address."""
        if self._listener is not None:
            self._listener.close()
        settings = self._settings
        self._listener = LinkListener(mesh.incoming, settings.secret, self._tls)
        host = settings.bind_host or self._control.local_host
        return await self._listener.listen(host, settings.advertise_host)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this as a task until it is done or the epoch ends."""
        self._of_epoch = self._started(work, self._of_epoch)

    def end_epoch(self) -> None:
        """Cancel everything that ``start`` started."""
        for task in self._of_epoch:
            task.cancel()
        self._of_epoch = []

    async def pause(self, delay_s: float, /) -> None:
        """Wait; 0 lets other coroutines run."""
        await asyncio.sleep(delay_s)

    def send(self, frame: ControlFrame) -> None:
        """Send a frame to the initializer; the last measurements go before the last frame."""
        if not self._ended.done():
            if isinstance(frame, Drained | Failed):
                self._reports.send_measured()
            self._control.send(frame)

    def before_first_open(self) -> None:
        """Exempt all present objects from garbage collection, which saves 10 to 30 % of the CPU."""
        gc.collect()
        gc.freeze()

    def leave_out(self, checkpoint: int, keys: list[UnreadableKey]) -> None:
        """List these keys as lost. Raises ``WallarooError`` if the run must not lose any."""
        unreadable = UnreadableKeys(self._settings.options, self.plan.name, self.name)
        unreadable.leave_out(checkpoint, keys)

    def records_failed(self, failures: list[Failure]) -> None:
        """Keep these records as dead letters."""
        self._dead_letters.add(failures)
        self._reports.records_failed(failures)
        if self._settings.options.gives_back:
            self.give_back_failures(failures)

    def counts(self, dataflow: Dataflow) -> dict[str, Counts]:
        """Return what this dataflow has counted; results count once the sinks have them."""
        counts = dataflow.counts()
        if self._measuring is None:
            return counts
        return self._measuring.delivered(counts, self._sinks)

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        log.info(event, **values)

    def warn(self, event: str, error: WallarooError) -> None:
        """Log a warning."""
        log.warning(event, reason=error.what, hint=error.hint, next="goes on without it")

    def end(self, status: int) -> None:
        """End the process with this status."""
        if not self._ended.done():
            self._ended.set_result(status)

    # The process

    async def run(self) -> int:
        """Join the cluster and work until the initializer says stop; return the exit status."""
        self._ended = asyncio.get_running_loop().create_future()
        host, port = self._settings.control_host, self._settings.control_port
        await self._control.dial(host, port, self._ordered, self._control_lost)
        self._hand_over.listen()
        self._loop_watch.start()
        if await self._make_resources():
            await self._machine.join()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for work in [*self._sinks.work(), self._tick()]:
                    self._running = self._started(work, self._running)
                status = await self._ended
                for task in [*self._running, *self._of_epoch]:
                    task.cancel()
        finally:
            await self.calls.close()
        self._loop_watch.close()
        await self._resources.close()
        self._hand_over.close()
        self._dead_letters.close()
        await self._control.close()
        return status

    async def _make_resources(self) -> bool:
        """Make what steps need once; return whether that has succeeded."""
        try:
            await self._resources.make()
        except WallarooError as error:
            # Nothing else may be sent before this worker has joined.
            epoch, status = self._machine.epoch, error.exit_code
            self._control.send(Failed(epoch, self.name, error.what, error.hint, status))
            self.end(status)
            return False
        return True

    def _started(
        self, work: Coroutine[Any, Any, None], tasks: list[asyncio.Task[None]]
    ) -> list[asyncio.Task[None]]:
        """Start ``work``; return its task and those of ``tasks`` that still run."""
        if self._ended.done():
            work.close()
            return tasks
        return [*(task for task in tasks if not task.done()), self._tasks.create_task(work)]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._loop_watch.turned()
            self._machine.mesh.acknowledge()
            self._reports.sample_sinks()
            self._machine.backlog_changed()
            self._answers.sample()
            self._reports.ticked(TICK_S)
            if (error := self._sinks.timed_out()) is not None:
                self._machine.fail(error.what, error.hint, 1)

    def request_stop(self) -> None:
        """Ask for an orderly stop of the cluster, since this process was asked to end."""
        self._control.send(RequestStop(self._machine.epoch))

    def _ordered(self, frame: ControlFrame) -> None:
        self._is_stopping = self._is_stopping or isinstance(frame, Stop)
        if isinstance(frame, Query):
            self._answers.asked(frame)
        else:
            self._machine.ordered(frame)

    # Ends

    def _control_lost(self, reason: str) -> None:
        # After an order to stop, the initializer waits for processes, not for links.
        if not self._ended.done() and not self._is_stopping:
            log.error("initializer.lost", reason=reason, next="this worker stops")
            self.end(STATUS_INITIALIZER_LOST)

    def broken(self, context: dict[str, Any]) -> None:
        """End this process because of an unexpected error, which is usually a bug.

        A part of the worker may have stopped working, so the process must not go on.
        """
        error, following = context.get("exception"), "this worker ends, and is started again"
        if isinstance(error, StoreError):
            log.error("worker.failed", reason=error.what, hint=error.hint, next=following)
        else:
            log.critical(
                "worker.crashed",
                what=context.get("message"),
                exc_info=error,
                story=self._machine.story,
                next=following,
            )
        self.end(STATUS_BROKEN)

    def _exit_for_application(self, request: SystemExit) -> None:
        """End this process at once with the status that the application gave to ``sys.exit``."""
        status = exit_status(request)
        log.error(
            "worker.exited",
            status=status,
            why="the application ended the process",
            next="it is started again",
        )
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        self._end_process(status)
