"""One worker: carries out what the initializer orders, and drives engine, mesh, sources, sinks."""

import asyncio
import gc
import os
import time
from collections.abc import Coroutine
from typing import Any, assert_never

import structlog

from wallaroo.cluster.aligner import Aligned, Aligner, EdgePassed, SendBarrier, SourcePassed
from wallaroo.cluster.aligner import Event as AlignerEvent
from wallaroo.errors import WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.batches import Form
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import (
    Assign,
    ControlFrame,
    Drain,
    Drained,
    Failed,
    Join,
    Open,
    Opened,
    Ready,
    RequestStop,
    Stop,
)
from wallaroo.wire.data_frames import Barrier
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.dead_letters import DeadLetters
from wallaroo_workers.engine import Engine
from wallaroo_workers.mesh import Mesh
from wallaroo_workers.network.incoming import IncomingLink
from wallaroo_workers.network.outgoing import OutgoingLink
from wallaroo_workers.outside import Sinks, Sources
from wallaroo_workers.pause_watch import PauseWatch
from wallaroo_workers.settings import WorkerSettings

log = structlog.get_logger()

TICK_S = 0.05
STATUS_INITIALIZER_LOST = 3
STATUS_BROKEN = 70


class Worker:
    """All of one worker process; ``run`` returns its exit status."""

    def __init__(self, settings: WorkerSettings, plan: Plan) -> None:
        self._settings = settings
        self._plan = plan
        self._me = WorkerName(settings.name)
        self._incarnation = Epoch(settings.incarnation)
        options = settings.options
        self._dataflow = Dataflow(
            plan,
            self._me,
            DataflowOptions(
                form=None if options.exchange == "auto" else Form[options.exchange.upper()],
                clock=time.perf_counter,
                stop_on_error=options.stop_on_error,
            ),
        )
        self._engine = Engine(self._dataflow)
        self._control = ControlLink(settings.secret)
        self._mesh = Mesh(self._me, self._incarnation, settings.secret)
        self._sources = Sources(plan, self._engine, options)
        self._sinks = Sinks(plan, options.sink_timeout_s)
        self._dead_letters = DeadLetters(options.dead_letters, plan.application, settings.name)
        self._aligner: Aligner
        self._assignment: Assign | None = None
        self._is_open = False
        self._pause_watch = PauseWatch()
        self._tasks: asyncio.TaskGroup
        self._running: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[int]
        self._connect_parts()

    def _connect_parts(self) -> None:
        engine = self._engine
        engine.must_pause = lambda: self._mesh.pressure.must_pause
        engine.on_output = self._sinks.write
        engine.on_barrier = self._barrier_came
        engine.on_failures = self._dead_letters.add
        engine.on_stop = self._stop_on_error
        engine.on_turn = self._backlog_changed
        self._mesh.listener.on_frame = engine.frame_arrived
        self._sinks.when_progressing(self._backlog_changed)

    async def run(self) -> int:
        """Join the cluster and work until told to stop; return the exit status."""
        self._ended = asyncio.get_running_loop().create_future()
        host, port = self._settings.control_host, self._settings.control_port
        data_address = await self._mesh.listener.listen(host)
        await self._control.dial(host, port, self._ordered, self._control_lost)
        self._control.send(
            Join(self._incarnation, self._me, os.getpid(), data_address, list(outline(self._plan)))
        )
        async with asyncio.TaskGroup() as self._tasks:
            for work in [*self._sinks.work(), self._tick()]:
                self._start(work)
            status = await self._ended
            for task in self._running:
                task.cancel()
        self._dead_letters.close()
        await self._control.close()
        return status

    def request_stop(self) -> None:
        """Somebody asked this process alone to end; the cluster ends in order."""
        self._control.send(RequestStop(self._epoch))

    @property
    def _epoch(self) -> Epoch:
        return self._incarnation if self._assignment is None else self._assignment.epoch

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._ended.done():
            work.close()
            return
        self._running = [task for task in self._running if not task.done()]
        self._running.append(self._tasks.create_task(work))

    # Orders

    def _ordered(self, frame: ControlFrame) -> None:
        match frame:
            case Assign():
                self._assign(frame)
            case Open():
                self._start(self._open(frame))
            case Drain():
                self._start(self._drain(frame))
            case Stop():
                self._end(0)
            case Join() | Ready() | Opened() | Drained() | Failed() | RequestStop():
                log.error("order.refused", order=type(frame).__name__)
            case _:
                assert_never(frame)

    def _assign(self, assign: Assign) -> None:
        members = [
            (WorkerName(name), Epoch(epoch), address) for name, epoch, address in assign.members
        ]
        if self._assignment is None:
            workers = tuple(name for name, _, _ in members)
            maps = [PartitionMap.from_wire(wire) for wire in assign.partition_maps]
            self._dataflow.bind(workers, {each.state: each for each in maps})
            self._aligner = Aligner(self._plan, self._me, workers)
        self._assignment = assign
        self._mesh.follow(members, self._backlog_changed, self._start_link)
        self._engine.connect(self._mesh.outgoing)
        self._start(self._report_ready(assign))

    def _start_link(self, link: OutgoingLink) -> None:
        self._start(link.run())

    async def _report_ready(self, assign: Assign) -> None:
        await self._mesh.connected()
        await self._sinks.connected()
        self._control.send(Ready(assign.epoch))

    async def _open(self, order: Open) -> None:
        assert self._assignment is not None
        if not self._is_open:
            self._is_open = True
            # What stands now stays: looking through it again and again is wasted (10 to 30 %).
            gc.collect()
            gc.freeze()
            here = [worker == self._me for worker in self._assignment.generator_workers]
            try:
                await self._sources.open(self._assignment.source_addresses, here)
            except OSError as error:
                self._fail(f"a source cannot listen: {error}", "is its port in use?", 1)
                return
            except StopOnError as stop:
                self._stop_on_error(stop.failure)
                return
        self._control.send(Opened(order.epoch))

    async def _drain(self, order: Drain) -> None:
        await self._sources.drain()
        for pipeline in range(len(self._plan.pipelines)):
            self._align(SourcePassed(order.checkpoint, pipeline))

    # Barriers

    def _barrier_came(self, link: IncomingLink, barrier: Barrier) -> None:
        self._align(EdgePassed(barrier.checkpoint, barrier.edge, link.worker))

    def _align(self, event: AlignerEvent) -> None:
        for effect in self._aligner.step(event):
            match effect:
                case SendBarrier(checkpoint, edge):
                    self._engine.flush()
                    self._mesh.send_barrier(self._epoch, checkpoint, edge)
                case Aligned():
                    self._engine.flush()
                    self._start(self._flush_sinks(effect))

    async def _flush_sinks(self, aligned: Aligned) -> None:
        await self._sinks.flush()
        self._mesh.end()
        failure_count = sum(self._dead_letters.count_by_step.values())
        self._control.send(
            Drained(self._epoch, aligned.checkpoint, self._engine.record_count, failure_count)
        )

    # What goes on meanwhile

    def _backlog_changed(self) -> None:
        backlog = self._engine.inbox_bytes + self._mesh.backlog_bytes + self._sinks.backlog_bytes
        self._mesh.backlog_changed(backlog)
        self._engine.schedule()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._mesh.acknowledge()
            self._sinks.settle()
            self._backlog_changed()
            self._tell_long_pause()
            if (sink := self._sinks.timed_out()) is not None:
                self._fail(
                    f"the sink at {sink.address} was not there for "
                    f"{self._settings.options.sink_timeout_s:g} s",
                    "start the receiver first, or give --sink-timeout more time",
                    1,
                )

    def _tell_long_pause(self) -> None:
        now_s = asyncio.get_running_loop().time()
        pressure = self._mesh.pressure
        paused_s = self._pause_watch.look(now_s, is_paused=pressure.must_pause)
        if paused_s is not None:
            log.warning(
                "sources.paused",
                for_s=round(paused_s),
                slow_workers=", ".join(
                    [*pressure.causes, *[self._me] * pressure.is_under_pressure]
                ),
                inbox_bytes=self._engine.inbox_bytes,
                link_bytes=self._mesh.backlog_bytes,
                sink_bytes=self._sinks.backlog_bytes,
                hint="senders wait; a sink or a worker does not keep up",
            )

    # Ends

    def _stop_on_error(self, failure: Failure) -> None:
        # Payload and traceback are wanted in this case too.
        self._dead_letters.add([failure])
        on_key = "" if failure.key is None else f" on key {failure.key!r}"
        self._fail(
            f"step {failure.step!r} of pipeline {failure.pipeline!r} failed{on_key}: "
            f"{failure.error}",
            hint="",
            exit_code=WallarooError.exit_code,
        )

    def _fail(self, what: str, hint: str, exit_code: int) -> None:
        if not self._ended.done():
            self._control.send(Failed(self._epoch, what, hint, exit_code))
            self._end(exit_code)

    def _control_lost(self, reason: str) -> None:
        if not self._ended.done():
            log.error("initializer.lost", reason=reason, next="this worker stops")
            self._end(STATUS_INITIALIZER_LOST)

    def broken(self, context: dict[str, Any]) -> None:
        """An error that nobody expected: a bug of ours. The process must not go on half alive."""
        log.critical(
            "worker.broken", what=context.get("message"), exc_info=context.get("exception")
        )
        self._end(STATUS_BROKEN)

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)
