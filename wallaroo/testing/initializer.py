"""The simulated initializer: the real ``Coordinator`` and ``Checkpoints``, simulated workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.cluster.checkpoints import Beginning, Checkpoints, Place, Rules
from wallaroo.cluster.coordinator import Coordinator, Membership, Phase
from wallaroo.cluster.events import (
    Announce,
    Answer,
    CheckpointDue,
    Effect,
    EndCluster,
    EndWorker,
    Event,
    MembersChanged,
    Publish,
    Received,
    ResizeRequested,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.cluster.restarts import RestartPolicy
from wallaroo.connectors.file import FileSink, StagedPart
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.routing.hashing import hash_text
from wallaroo.testing.disk import JournalFolder
from wallaroo.testing.loop import Process
from wallaroo.testing.network import ControlLink
from wallaroo.testing.store import SimulatedStore
from wallaroo.testing.worker import SimulatedWorker, World
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.wire.control import Checkpoint, ControlFrame, Drain, Failed, Join

START_S = 0.3
NOTICE_S = 0.02
EXIT_AWAITED_S = 0.2
RESTARTS_MAX = 100
"""A simulation has more crashes in a minute than a real run would go on with."""


@dataclass(slots=True)
class _Link:
    """The control link of one worker process, and that process."""

    process: Process
    incarnation: Epoch
    wire: ControlLink
    worker: SimulatedWorker | None = None
    is_up: bool = True
    has_joined: bool = False


@dataclass(slots=True)
class Run:
    """One run of the command, as whoever gave it sees it."""

    is_ended: bool = False
    error: WallarooError | None = None
    was_ready: bool = False
    phases: dict[str, int] = field(default_factory=dict)


class SimulatedInitializer:
    """One run of the command."""

    def __init__(
        self, world: World, process: Process, worker_count: int, interval_s: float, rules: Rules
    ) -> None:
        self._world = world
        self.process = process
        self._interval_s = interval_s
        self._workers = tuple(WorkerName(f"w{number + 1}") for number in range(worker_count))
        self._store = SimulatedStore(process, world.objects, world.chaos)
        self._checkpoints = Checkpoints(rules, self._place(), world.plan, self._workers)
        self.coordinator: Coordinator | None = None
        self._links: dict[WorkerName, _Link] = {}
        self._orders: dict[WorkerName, StartWorker] = {}
        self._restarts = {worker: RestartPolicy(RESTARTS_MAX) for worker in self._workers}
        self.run = Run()
        self._name_count = worker_count
        """Workers of this run so far, whatever has become of them."""
        self._request_count = 0
        self._answered_count = 0
        process.on_end.append(self._ended)
        process.start(self._begin())

    def _place(self) -> Place:
        process, disk = self.process, self._world.disk
        token = f"{process.name} at {process.loop.now_s}"

        async def commit_output(path: str, length_before: int, parts: Sequence[StagedPart]) -> None:
            await process.pause(process.loop.random.random() * NOTICE_S)
            disk.commit_output(process, path, length_before, parts)

        async def discard_output(path: str, stage: str) -> None:
            await process.pause(0)
            disk.discard_output(path, stage)

        return Place(
            log=ManifestLog(self._store, process.pause, lambda: token),
            journal_epochs=JournalFolder(process, disk).epochs,
            commit_output=commit_output,
            discard_output=discard_output,
            output_path=lambda path: path,
            pause=process.pause,
            clock=lambda: process.loop.now_s,
            wall_clock=lambda: process.loop.now_s,
            tell=self._tell,
            warn=self._tell,
        )

    async def _begin(self) -> None:
        try:
            beginning = await self._checkpoints.begin()
        except WallarooError as error:
            self._end(error)
            return
        for sink in self._world.plan.sinks:
            if isinstance(sink, FileSink):
                self._world.disk.discard_output(sink.path)
        self.coordinator = Coordinator(self._membership(beginning))
        self._take_checkpoints()
        self._carry_out(self.coordinator.start())

    def _membership(self, beginning: Beginning) -> Membership:
        pipelines = self._world.plan.pipelines
        return Membership(
            workers=self._workers,
            outline=list(outline(self._world.plan)),
            difference=difference,
            partition_maps=[each.to_wire() for each in beginning.maps],
            source_addresses=["" for _ in pipelines],
            source_workers=[
                ""
                if isinstance(pipeline.source, TCPSource)
                else self._workers[hash_text(f"source/{pipeline.name}") % len(self._workers)]
                for pipeline in pipelines
            ],
            is_durable=True,
            epoch=beginning.epoch,
            manifest=beginning.manifest,
        )

    # Events in, effects out

    def stop(self) -> None:
        """Somebody asks the command to stop in order."""
        self.process.run(lambda: self._happened(StopRequested()))

    def resize(self, joining_count: int, leaving: Sequence[WorkerName]) -> None:
        """Somebody asks for more workers, fewer, or others."""
        numbers = range(self._name_count + 1, self._name_count + 1 + joining_count)
        self._name_count += joining_count
        self._request_count += 1
        added = tuple(WorkerName(f"w{number}") for number in numbers)
        for worker in added:
            self._restarts[worker] = RestartPolicy(RESTARTS_MAX)
        event = ResizeRequested(self._request_count, added, tuple(leaving))
        self._tell("resize", {"added": added, "leaving": tuple(leaving)})
        self.process.run(lambda: self._happened(event))

    @property
    def is_resizing(self) -> bool:
        """Whether a request for other workers is under way."""
        return self._answered_count < self._request_count

    @property
    def workers(self) -> tuple[WorkerName, ...]:
        """The present members."""
        return () if self.coordinator is None else self.coordinator.workers

    def _take_checkpoints(self) -> None:
        self.process.call_later(self._interval_s, self._take_checkpoints)
        self._happened(CheckpointDue())

    def _happened(self, event: Event) -> None:
        if self.coordinator is None or self.run.is_ended:
            return
        before = self.coordinator.phase
        effects = self.coordinator.step(event)
        if self.coordinator.phase is not before:
            self._tell("phase", {"is": self.coordinator.phase.value})
        self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(workers, frame):
                    if isinstance(frame, Checkpoint | Drain):
                        self._checkpoints.begun()
                    for worker in workers:
                        self._send(worker, frame)
                case StartWorker():
                    self._start_worker(effect)
                case Announce(event, values):
                    self._tell(event, values)
                case Publish():
                    self.run.was_ready = True
                case WriteManifest():
                    self.process.start(self._write_manifest(effect))
                case EndWorker(worker, is_told):
                    self._end_worker(worker, NOTICE_S if is_told else 0.0)
                case MembersChanged(workers, maps):
                    self._checkpoints.members_changed(workers, maps)
                case Answer(_, ok, text, _):
                    self._answered_count += 1
                    self._tell("answer", {"ok": ok, "text": text})
                    self._world.chaos.injected["  done" if ok else "  refused or called off"] += 1
                case EndCluster(error):
                    self._end(error)

    def _send(self, worker: WorkerName, frame: ControlFrame) -> None:
        link = self._links.get(worker)
        if link is None or not link.is_up or not link.has_joined:
            return
        assert link.worker is not None
        link.wire.send(link.process, frame, link.worker.member.ordered)

    async def _write_manifest(self, order: WriteManifest) -> None:
        try:
            answer = await self._checkpoints.write(order)
        except WallarooError as error:
            self._end(error)
            return
        self._happened(answer)

    # Processes of workers

    def _start_worker(self, order: StartWorker) -> None:
        self._orders[order.worker] = order
        link = self._links.get(order.worker)
        if link is not None:
            link.process.end("killed")
        delay_s = 0.0
        if order.is_restart:
            back_off_s = self._restarts[order.worker].lost(self.process.loop.now_s)
            if back_off_s is None:
                self._end(ClusterError("a worker was lost too often"))
                return
            delay_s = back_off_s
        self.process.call_later(
            delay_s + self.process.loop.random.random() * START_S,
            lambda: self._start_process(order),
        )

    def _start_process(self, order: StartWorker) -> None:
        if self._orders.get(order.worker) is not order or self.run.is_ended:
            return
        world, worker = self._world, order.worker
        before = self._links.get(worker)
        if before is not None:
            before.process.end("killed")
            self._checkpoints.worker_ended(worker, before.incarnation)
        process = Process(self.process.loop, f"{worker}-{order.incarnation}", world.chaos)
        link = self._links[worker] = _Link(process, order.incarnation, ControlLink(world.chaos))
        world.chaos.workers[worker] = process
        process.on_end.append(lambda: self._worker_ended(worker, link))

        def begin() -> None:
            link.worker = SimulatedWorker(
                world,
                process,
                worker,
                order.incarnation,
                lambda frame: self._sent(worker, link, frame),
            )

        process.run(begin)

    def _end_worker(self, worker: WorkerName, within_s: float) -> None:
        """A worker is not wanted any more."""
        self._orders.pop(worker, None)
        link = self._links.get(worker)
        if link is None:
            return

        def end() -> None:
            link.process.end("not wanted")
            self._checkpoints.worker_ended(worker, link.incarnation)

        self.process.call_later(within_s * self.process.loop.random.random(), end)

    def _sent(self, worker: WorkerName, link: _Link, frame: ControlFrame) -> None:
        """A worker has sent a frame."""
        process = link.process
        if isinstance(frame, Failed):
            self._world.problems.append(f"{process.name} gave up: {frame.what}")
        if not link.is_up:
            return
        if self._world.chaos.take("lost_control_links", 0.02):
            self._tell("control link breaks", {"worker": process.name})
            link.is_up = False
            process.call_later(NOTICE_S, lambda: process.end("lost its initializer"))
            self._report_lost(worker, link, "its control link broke")
            return

        def received(frame: ControlFrame) -> None:
            if isinstance(frame, Join):
                link.has_joined = True
            self._happened(Received(worker, frame))

        link.wire.send(self.process, frame, received)

    def _worker_ended(self, worker: WorkerName, link: _Link) -> None:
        link.is_up = False
        self._report_lost(worker, link, "the process ended")

    def _report_lost(self, worker: WorkerName, link: _Link, reason: str) -> None:
        """Tell the coordinator, perhaps twice: of the process and of its link."""
        event = WorkerLost(worker, link.incarnation, reason)
        link.wire.in_order(self.process, lambda: self._happened(event))
        self.process.call_later(EXIT_AWAITED_S, lambda: self._happened(event))

    # Ends

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        self.process.loop.tell("initializer", f"{event} {values}")

    def _end(self, error: WallarooError | None) -> None:
        if not self.run.is_ended:
            self._tell("run ended", {"error": error.what if error else ""})
            self.run.error = error
            self.run.is_ended = True
            self._end_workers(0.5)

    def _ended(self) -> None:
        self.run.is_ended = True
        # The system closes the pipes; a worker ends as soon as it sees that.
        self._end_workers(NOTICE_S)

    def _end_workers(self, within_s: float) -> None:
        loop = self.process.loop
        for link in self._links.values():
            process = link.process
            end = partial(process.end, "lost its initializer")
            loop.call_later(loop.random.random() * within_s, end)

    @property
    def has_processes(self) -> bool:
        """Whether anything of this run is left."""
        return any(link.process.is_alive for link in self._links.values())

    @property
    def is_running(self) -> bool:
        """Whether sources take records."""
        return self.coordinator is not None and self.coordinator.phase is Phase.RUNNING
