"""The simulated initializer: the real ``Coordinator`` and ``Checkpoints``, simulated workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.file import FileSink
from wallaroo.coordinator.coordinator import FIRST_EPOCH, Coordinator, Membership, Phase
from wallaroo.coordinator.events import (
    Announce,
    Answer,
    CheckpointDue,
    DrainRequested,
    Effect,
    EndCluster,
    EndWorker,
    Event,
    MembersChanged,
    ResizeRequested,
    Send,
    StartWorker,
    StopRequested,
    WriteManifest,
)
from wallaroo.coordinator.manifest_writer import ManifestWriter, Rules, StartingPoint, initial_maps
from wallaroo.coordinator.run_outcome import FailureWatch
from wallaroo.coordinator.source_assignment import initial_assignment
from wallaroo.coordinator.worker_names import first_names, next_names
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import sums
from wallaroo.names import NO_BARRIER, WorkerName
from wallaroo.testing.loop import Process
from wallaroo.testing.lost_disks import LostDisks
from wallaroo.testing.oracle import States
from wallaroo.testing.place import NOTICE_S, place_of
from wallaroo.testing.processes import SimulatedProcesses
from wallaroo.testing.store import SimulatedStore
from wallaroo.testing.worker import World
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.wire.control import Checkpoint, ControlFrame, Drain


@dataclass(slots=True)
class Run:
    """One run of the command, as whoever gave it sees it."""

    is_ended: bool = False
    error: WallarooError | None = None


class SimulatedInitializer:
    """One run of the command."""

    def __init__(
        self, world: World, process: Process, worker_count: int, interval_s: float, rules: Rules
    ) -> None:
        self._world = world
        self.process = process
        self._interval_s = interval_s
        self._may_lose_input = rules.allow_lost_input
        self._lost_disks = LostDisks(
            world.disk, world.hall, rules, lambda: self._checkpoints.latest
        )
        self.run = Run()
        self._workers = first_names(worker_count)
        self._store = SimulatedStore(process, world.objects, world.chaos)
        self._checkpoints = ManifestWriter(
            rules,
            place_of(process, world.disk, self._store, self._tell, self._lost_disks.announced),
            world.plan,
            self._workers,
        )
        self.coordinator: Coordinator | None = None
        nodes = Nodes(world.plan).by_pipeline
        self._failures = FailureWatch(RunCounts(nodes, is_durable=world.is_durable))
        self._processes = SimulatedProcesses(
            world, process, self._happened, self._checkpoints.worker_ended, self._tell
        )
        self._names = self._workers
        """Of all workers of this run so far, whatever has become of them."""
        self._request_count = 0
        self._answered_count = 0
        process.on_end.append(self._ended)
        process.start(self._begin())

    async def _begin(self) -> None:
        if not self._world.is_durable:
            self.coordinator = Coordinator(
                self._membership(None), self._failures, checks_itself=True
            )
            self._carry_out(self.coordinator.start())
            return
        try:
            beginning = await self._checkpoints.begin()
        except WallarooError as error:
            self._end(error)
            return
        for sink in self._world.plan.sinks:
            if isinstance(sink, FileSink):
                self._world.disk.discard_output(sink.path)
        self._lost_disks.begin(beginning)
        self.coordinator = Coordinator(
            self._membership(beginning), self._failures, checks_itself=True
        )
        self._take_checkpoints()
        self._carry_out(self.coordinator.start())

    def _membership(self, beginning: StartingPoint | None) -> Membership:
        plan = self._world.plan
        pipelines = plan.pipelines
        maps = beginning.maps if beginning is not None else initial_maps(plan, self._workers)
        return Membership(
            workers=self._workers,
            outline=list(outline(self._world.plan)),
            difference=difference,
            partition_maps=[each.to_wire() for each in maps],
            source_addresses=["" for _ in pipelines],
            sources=initial_assignment(plan, self._workers),
            is_durable=beginning is not None,
            epoch=beginning.epoch if beginning is not None else FIRST_EPOCH,
            manifest=beginning.manifest if beginning is not None else 0,
            last_barrier=beginning.last_barrier if beginning is not None else NO_BARRIER,
            needed_input=beginning.needed_input if beginning is not None else None,
            may_lose_input=self._may_lose_input,
            counts=beginning.counts if beginning is not None else {},
        )

    # Events in, effects out

    def stop(self) -> None:
        """Somebody asks the command to stop in order."""
        self.process.run(lambda: self._happened(StopRequested()))

    def drain(self) -> None:
        """Somebody asks for all to be finished; the processes are to stay."""
        self._tell("drain", {})
        self.process.run(lambda: self._happened(DrainRequested()))

    def resize(self, joining_count: int, leaving: Sequence[WorkerName]) -> None:
        """Somebody asks for more workers, fewer, or others."""
        added = next_names(self._names, joining_count)
        self._names += added
        self._request_count += 1
        event = ResizeRequested(self._request_count, added, tuple(leaving))
        self._tell("resize", {"added": added, "leaving": tuple(leaving)})
        self.process.run(lambda: self._happened(event))

    @property
    def has_lost_input(self) -> bool:
        """Whether a journal was missing that is needed."""
        return self._lost_disks.has_lost_input

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
            self._carry_out_one(effect)

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Send(workers, frame):
                self._send(workers, frame)
            case StartWorker():
                if not self._processes.start(effect):
                    self._end(ClusterError("a worker was lost too often"))
            case EndWorker(worker, is_told):
                self._processes.end(worker, is_told=is_told)
            case MembersChanged() | Answer():
                self._resize_went_on(effect)
            case Announce(event, values):
                self._tell(event, values)
                self._lost_disks.announced(effect)
            case WriteManifest():
                self.process.start(self._write_manifest(effect))
            case EndCluster(error):
                self._end(error)

    def _send(self, workers: Sequence[WorkerName], frame: ControlFrame) -> None:
        if isinstance(frame, Checkpoint | Drain):
            self._checkpoints.begun()
        for worker in workers:
            self._processes.send(worker, frame)

    def _resize_went_on(self, effect: MembersChanged | Answer) -> None:
        if isinstance(effect, Answer):
            self._answered_count += 1
            self._tell("answer", {"ok": effect.ok, "text": effect.text})
            outcome = "done" if effect.ok else "refused or called off"
            self._world.chaos.injected[f"  {outcome}"] += 1
        else:
            self._checkpoints.members_changed(effect.workers, effect.partition_maps)

    async def _write_manifest(self, order: WriteManifest) -> None:
        try:
            answer = await self._checkpoints.write(order)
        except WallarooError as error:
            self._end(error)
            return
        self._happened(answer)

    # Ends

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        self.process.loop.tell("initializer", f"{event} {values}")

    def _end(self, error: WallarooError | None) -> None:
        if not self.run.is_ended:
            self._tell("run ended", {"error": error.what if error else ""})
            self.run.error = error
            self.run.is_ended = self._processes.is_over = True
            self._processes.end_all(0.5)

    def _ended(self) -> None:
        self.run.is_ended = self._processes.is_over = True
        # The system closes the pipes; a worker ends as soon as it sees that.
        self._processes.end_all(NOTICE_S)

    @property
    def has_processes(self) -> bool:
        """Whether anything of this run is left."""
        return self._processes.are_left

    def stories(self) -> dict[str, list[str]]:
        """Return the last steps of each worker's last process, by the name of the process."""
        workers = self._processes.workers(self._workers)
        return {worker.process.name: worker.machine.story for worker in workers}

    def counts(self) -> Counts:
        """Return the counts of the whole run, by node, as this process shows them."""
        return sums(self._failures.counts.totals.by_worker())

    def states(self) -> States:
        """Return what all members hold; each key is held by one."""
        states: States = {}
        for worker in self._processes.workers(self.workers):
            for name, held in worker.machine.dataflow.states.items():
                known = states.setdefault(name, {})
                assert known.keys().isdisjoint(held), f"two workers hold keys of {name!r}"
                known.update(held)
        return states

    @property
    def is_drained(self) -> bool:
        """Whether all is finished, and the processes stay."""
        return self.coordinator is not None and self.coordinator.phase is Phase.DRAINED

    @property
    def is_running(self) -> bool:
        """Whether sources take records."""
        return self.coordinator is not None and self.coordinator.phase is Phase.RUNNING
