"""One worker: carries out what the initializer orders, and drives engine, mesh, sources, sinks."""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

from wallaroo.checkpoint.pickling import ImportedClasses, StatePickler
from wallaroo.errors import StoreError
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.metrics.tally import Counts
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.runtime.engine import Engine
from wallaroo.statuses import ExitStatus
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import ControlFrame, Drained, Failed, Measured, RequestStop
from wallaroo.wire.data_frames import LinkHello
from wallaroo.wire.requests import Query
from wallaroo.worker.lifecycle import WorkerMachine, WorkerPorts
from wallaroo_workers import forks
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST, ControlLink
from wallaroo_workers.dead_letters import DeadLetters
from wallaroo_workers.durable_storage import open_durable
from wallaroo_workers.ending import exit_status
from wallaroo_workers.logs import get_logger
from wallaroo_workers.measuring import Measuring
from wallaroo_workers.network.incoming import LinkListener
from wallaroo_workers.network.outgoing import DialedLink
from wallaroo_workers.network.tls import Tls
from wallaroo_workers.pause_watch import PauseWatch
from wallaroo_workers.query_answers import Answers
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.sources.fd_handover import UnixHandOver
from wallaroo_workers.sources_and_sinks import Sinks, new_sources
from wallaroo_workers.unreadable_keys import UnreadableKeys

log = get_logger()

TICK_S = 0.05
STATUS_BROKEN = ExitStatus.BROKEN


class Worker:
    """All of one worker process; ``run`` returns its exit status."""

    def __init__(self, settings: WorkerSettings, plan: Plan, tls: Tls | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._plan = plan
        self._me = WorkerName(settings.name)
        options = settings.options
        self._durable = open_durable(settings)
        self._engine = Engine(
            time.perf_counter, lambda turn: asyncio.get_running_loop().call_soon(turn)
        )
        self._control = ControlLink(settings.secret, tls)
        self._listener: LinkListener | None = None
        journal = None if self._durable is None else self._durable.journal
        self._sources = new_sources(plan, self._engine, settings, journal)
        self._sinks = Sinks(plan, options, None if journal is None else journal.name)
        self._hand_over = UnixHandOver(
            settings.private_folder,
            settings.secret,
            options.frame_bytes_max,
            frozenset(range(len(plan.pipelines))),
        )
        self._dead_letters = DeadLetters(
            options.dead_letters,
            plan.application,
            settings.name,
            file_bytes=options.dead_letter_bytes,
            kept_max=options.dead_letters_kept,
            shows_traceback=options.debug,
        )
        self._pause_watch = PauseWatch()
        self._reported_second = 0
        self._has_failures = False
        """That are to be told with the next tick."""
        self._tasks: asyncio.TaskGroup
        self._running: list[asyncio.Task[None]] = []
        self._of_epoch: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[int]
        self._measuring = Measuring(self._me, plan) if options.measures else None
        self._member = WorkerMachine(self._process(), Epoch(settings.incarnation))
        self._answers = Answers(
            member=self._member,
            engine=self._engine,
            sources=self._sources,
            sinks=self._sinks,
            send=self._send,
        )
        self._connect_parts()
        # A copy of this process that user code makes ends when it comes back from there: the clock
        # is asked after each slice of records.
        forks.when_copied(lambda: setattr(self._engine, "clock", forks.end_returned_child))

    def _process(self) -> WorkerPorts:
        options = self._settings.options
        return WorkerPorts(
            name=self._me,
            pid=os.getpid(),
            plan=self._plan,
            engine=self._engine,
            sources=self._sources,
            sinks=self._sinks,
            hand_over=self._hand_over,
            durable=self._durable,
            # The application is imported, and no record has been seen.
            pickler=StatePickler(ImportedClasses.now()),
            leave_out=UnreadableKeys(options, self._plan.application, self._me).leave_out,
            clock=time.perf_counter,
            pause=asyncio.sleep,
            new_dataflow=self._new_dataflow,
            new_mesh=self._new_mesh,
            listen=self._listen,
            send=self._send,
            start=self._start_in_epoch,
            end_epoch=self._end_epoch,
            before_first_open=_freeze_garbage,
            failed=lambda failure: self._failed([failure]),
            counts=self._counts,
            end=self._end,
            tell=lambda event, values: log.info(event, **values),
            warn=lambda event, error: log.warning(
                event, reason=error.what, hint=error.hint, next="goes on without it"
            ),
        )

    def _new_dataflow(self) -> Dataflow:
        options = self._settings.options
        return Dataflow(
            self._plan,
            self._me,
            DataflowOptions(
                form=None if options.exchange == "auto" else BatchFormat[options.exchange.upper()],
                clock=time.perf_counter,
                stop_on_error=options.stop_on_error,
                tracks_changes=self._durable is not None,
                on_exit=_exit_for_application if options.exit_ends_worker else None,
                clock_ns=time.perf_counter_ns if options.measures else None,
            ),
        )

    def _counts(self, dataflow: Dataflow) -> dict[str, Counts]:
        counts = dataflow.counts()
        if self._measuring is None:
            return counts
        return self._measuring.delivered(counts, self._sinks)

    def _new_mesh(self, incarnation: Epoch) -> Mesh:
        return Mesh(self._me, incarnation, self._dial, self._engine.frame_arrived, Pressure())

    def _dial(self, hello: LinkHello, address: str, pressure: Pressure) -> OutgoingLink:
        link = DialedLink(hello, address, pressure, self._settings.secret, self._tls)
        self._start_in_epoch(link.run())
        return link

    async def _listen(self, mesh: Mesh) -> str:
        if self._listener is not None:
            self._listener.close()
        settings = self._settings
        self._listener = LinkListener(mesh.incoming, settings.secret, self._tls)
        host = settings.bind_host or self._control.local_host
        return await self._listener.listen(host, settings.advertise_host)

    def _connect_parts(self) -> None:
        member = self._member
        self._engine.on_output = self._sinks.write
        self._engine.on_failures = self._failed
        if self._measuring is not None:
            self._measuring.begin(self._engine)
        self._sinks.when_progressing(member.backlog_changed)
        self._sinks.when_failing(lambda error: member.fail(error.what, error.hint, error.exit_code))

    async def run(self) -> int:
        """Join the cluster and work until told to stop; return the exit status."""
        self._ended = asyncio.get_running_loop().create_future()
        host, port = self._settings.control_host, self._settings.control_port
        await self._control.dial(host, port, self._ordered, self._control_lost)
        self._hand_over.listen()
        await self._member.join()
        async with asyncio.TaskGroup() as self._tasks:
            for work in [*self._sinks.work(), self._tick()]:
                self._start(work)
            status = await self._ended
            for task in [*self._running, *self._of_epoch]:
                task.cancel()
        self._hand_over.close()
        self._dead_letters.close()
        await self._control.close()
        return status

    def request_stop(self) -> None:
        """Somebody asked this process alone to end; the cluster ends in order."""
        self._control.send(RequestStop(self._member.epoch))

    def _ordered(self, frame: ControlFrame) -> None:
        if isinstance(frame, Query):
            self._answers.asked(frame)
        else:
            self._member.ordered(frame)

    def _send(self, frame: ControlFrame) -> None:
        if not self._ended.done():
            if isinstance(frame, Drained | Failed):
                self._measured()
            self._control.send(frame)

    def _measured(self) -> None:
        if self._measuring is None:
            return
        member = self._member
        report = self._measuring.report(
            member.dataflow, self._engine, member.mesh, self._sources, self._sinks
        )
        self._control.send(Measured(member.epoch, self._me, report.to_wire()))

    def _failed(self, failures: list[Failure]) -> None:
        self._dead_letters.add(failures)
        self._has_failures = self._settings.options.tells_failures
        if self._measuring is not None:
            self._measuring.failed(failures)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._ended.done():
            work.close()
            return
        self._running = [task for task in self._running if not task.done()]
        self._running.append(self._tasks.create_task(work))

    def _start_in_epoch(self, work: Coroutine[Any, Any, None]) -> None:
        if self._ended.done():
            work.close()
            return
        self._of_epoch = [task for task in self._of_epoch if not task.done()]
        self._of_epoch.append(self._tasks.create_task(work))

    def _end_epoch(self) -> None:
        for task in self._of_epoch:
            task.cancel()
        self._of_epoch = []

    # What goes on meanwhile

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._member.mesh.acknowledge()
            self._settle()
            self._member.backlog_changed()
            self._answers.look()
            self._tell_long_pause()
            self._report()
            if (sink := self._sinks.timed_out()) is not None:
                self._member.fail(
                    f"the sink at {sink.address} was not there for "
                    f"{self._settings.options.sink_timeout_s:g} s",
                    "start the receiver first, or give --sink-timeout more time",
                    1,
                )

    def _settle(self) -> None:
        if self._measuring is None:
            self._sinks.settle()
        else:
            self._measuring.look(self._sinks)

    def _report(self) -> None:
        """Tell counts and measurements as each second begins: all have when the initializer looks.

        If failures have a limit they are told with each tick.
        """
        second = int(time.time())
        is_due, self._reported_second = second != self._reported_second, second
        if is_due or self._has_failures:
            self._has_failures = False
            self._member.tell_counts()
        if self._measuring is not None:
            is_paused = self._member.mesh.pressure.must_pause
            now_s = asyncio.get_running_loop().time()
            self._measuring.ticked(now_s, TICK_S, is_paused=is_paused)
            if is_due:
                self._measured()

    def _tell_long_pause(self) -> None:
        now_s = asyncio.get_running_loop().time()
        pressure = self._member.mesh.pressure
        paused_s = self._pause_watch.look(now_s, is_paused=pressure.must_pause)
        if paused_s is not None:
            log.warning(
                "sources.paused",
                for_s=round(paused_s),
                slow_workers=", ".join(
                    [*pressure.causes, *[self._me] * pressure.is_under_pressure]
                ),
                inbox_bytes=self._engine.inbox.byte_count,
                link_bytes=self._member.mesh.backlog_bytes,
                sink_bytes=self._sinks.backlog_bytes,
                hint="a sink or a worker does not keep up",
                next="senders wait until it does",
            )

    # Ends

    def _control_lost(self, reason: str) -> None:
        if not self._ended.done():
            log.error("initializer.lost", reason=reason, next="this worker stops")
            self._end(STATUS_INITIALIZER_LOST)

    def broken(self, context: dict[str, Any]) -> None:
        """An error that nobody expected: mostly a bug. The process must not go on half alive."""
        error, following = context.get("exception"), "this worker ends, and is started again"
        if isinstance(error, StoreError):
            log.error("worker.failed", reason=error.what, hint=error.hint, next=following)
        else:
            what = context.get("message")
            log.critical("worker.broken", what=what, exc_info=error, next=following)
        self._end(STATUS_BROKEN)

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)


def _exit_for_application(request: SystemExit) -> None:
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
    os._exit(status)


def _freeze_garbage() -> None:
    # What stands now stays: looking through it again and again is wasted (10 to 30 %).
    gc.collect()
    gc.freeze()
