"""One simulated worker process: the real ``Member`` with everything around it simulated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.pickling import ImportedClasses, StatePickler
from wallaroo.checkpoint.restorer import UnreadableKey, unreadable_error
from wallaroo.checkpoint.share_writer import Limits
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import WallarooError
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import SourceParts
from wallaroo.ingest.sources import Sources
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.names import Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.runtime.engine import Engine
from wallaroo.testing.connection_handover import SimulatedHandOver
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import Chaos
from wallaroo.testing.journals import JournalFolder, SimulatedJournal, Sync
from wallaroo.testing.loop import Process, Task
from wallaroo.testing.network import Network, SimulatedLink
from wallaroo.testing.placed import PlacedRunner, Records
from wallaroo.testing.senders import SendersHall
from wallaroo.testing.sinks import SimulatedSinks
from wallaroo.testing.sources import Listener
from wallaroo.testing.store import Objects, SimulatedStore
from wallaroo.testing.streams import Receivers
from wallaroo.testing.waiting import Flag
from wallaroo.topology.plan import Plan
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.data_frames import LinkHello
from wallaroo.worker.lifecycle import DurableStorage, WorkerMachine, WorkerPorts

TICK_S = 0.05
COST_S = 0.001
"""Of what is measured by the engine's clock, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Limits of one run, small enough that a short one reaches them."""

    checkpoints: Limits
    segment_bytes: int
    high_water_bytes: int
    journal_sync: Sync

    @classmethod
    def drawn(cls, random: Random) -> "Sizes":
        """Return the limits of the run that ``random`` belongs to."""
        return cls(
            checkpoints=Limits(
                part_bytes=random.choice([200, 600, 100_000]),
                copies_max=random.choice([1, 1, 2]),
                keys_spared=random.choice([0, 0, 10]),
                chunk_keys_max=random.choice([1, 3, 50]),
            ),
            segment_bytes=random.choice([300, 2000, 100_000]),
            high_water_bytes=random.choice([300, 3000, 1 << 20]),
            journal_sync="batch",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside of the processes."""

    plan: Plan
    chaos: Chaos
    disk: Disk
    objects: Objects
    network: Network
    takers: dict[str, SimulatedHandOver] = field(default_factory=dict)
    """Who takes connections of senders at which path."""
    receivers: Receivers
    hall: SendersHall
    placed: Mapping[int, Records]
    sizes: Sizes
    is_durable: bool
    """Whether checkpoints are on; journals then only tell what was accepted."""
    imported: ImportedClasses
    """What a process that is started finds."""
    known_failures: frozenset[tuple[str, str]]
    """Step and error of records that fail in a plain run too."""
    problems: list[str]
    """What must not happen, and did; ends the simulation."""


class SimulatedWorker:
    """A worker from the start of its process on."""

    def __init__(
        self,
        world: World,
        process: Process,
        name: WorkerName,
        incarnation: Epoch,
        send: Callable[[ControlFrame], None],
    ) -> None:
        self._world = world
        self.process = process
        self.name = self._name = name
        self._random = process.loop.random
        self._send = send
        self._of_epoch: list[Task] = []
        self._busy_until_s = 0.0
        self._engine = Engine(self._clock, self._call_soon)
        disk, sizes = world.disk, world.sizes
        writer = SimulatedJournal(
            process, disk, name, incarnation, sizes.journal_sync, sizes.segment_bytes
        )
        self._journal = Journal(JournalFolder(process, disk), writer)
        stage = writer.name if world.is_durable else None
        self._sinks = SimulatedSinks(world.plan, stage, process, disk, world.receivers, world.chaos)
        self.member = WorkerMachine(self._parts(writer), incarnation)
        self._engine.on_output = self._sinks.write
        self._engine.on_failures = self._failed
        self._sinks.when_progressing(self.member.backlog_changed)
        process.start(self.member.join())
        self._tick()

    def _parts(self, writer: SimulatedJournal) -> WorkerPorts:
        process = self.process
        store = SimulatedStore(process, self._world.objects, self._world.chaos)
        manifests = ManifestLog(store, process.pause, lambda: writer.name)
        durable = DurableStorage(
            store=store,
            manifests=manifests,
            journal=self._journal,
            pause=process.pause,
            limits=self._world.sizes.checkpoints,
        )
        return WorkerPorts(
            name=self._name,
            pid=1,
            plan=self._world.plan,
            engine=self._engine,
            sources=self._sources(writer),
            sinks=self._sinks,
            hand_over=SimulatedHandOver(process, self._world.chaos, self._world.takers),
            durable=durable if self._world.is_durable else None,
            pickler=StatePickler(self._world.imported),
            leave_out=_refuse_unreadable,
            clock=self._clock,
            pause=process.pause,
            new_dataflow=self._new_dataflow,
            new_mesh=self._new_mesh,
            listen=self._listen,
            send=self._send,
            start=self._start_in_epoch,
            end_epoch=self._end_epoch,
            before_first_open=lambda: None,
            failed=lambda failure: self._failed([failure]),
            counts=lambda dataflow: dataflow.counts(),
            end=lambda status: process.end(f"ended with status {status}"),
            tell=self._tell,
            warn=self._warn,
        )

    def _sources(self, writer: SimulatedJournal) -> Sources:
        world, intake = self._world, ReadBudget()
        listeners = {
            index: Listener(
                index,
                pipeline.source,
                self.process,
                self._engine,
                intake,
                world.hall,
                (self._journal, writer),
            )
            for index, pipeline in enumerate(world.plan.pipelines)
            if isinstance(pipeline.source, TCPSource)
        }
        parts = SourceParts(
            plan=world.plan,
            engine=self._engine,
            intake=intake,
            listeners=listeners,
            new_placed=lambda index, _, on_ended: PlacedRunner(
                index, self._engine, world.placed[index], on_ended
            ),
            replayed=Flag(),
            all_of=self.process.all_of,
            tell=self._tell,
        )
        return Sources(parts)

    def _new_dataflow(self) -> Dataflow:
        options = DataflowOptions(
            clock=self._clock, tracks_changes=self._world.is_durable, clock_ns=lambda: 0
        )
        return Dataflow(self._world.plan, self._name, options)

    def _new_mesh(self, incarnation: Epoch) -> Mesh:
        high = self._world.sizes.high_water_bytes
        pressure = Pressure(high, high // 2)
        return Mesh(self._name, incarnation, self._dial, self._engine.frame_arrived, pressure)

    def _dial(self, hello: LinkHello, address: str, pressure: Pressure) -> OutgoingLink:
        link = SimulatedLink(self.process, self._world.network, hello, address, pressure)
        self._start_in_epoch(link.run())
        return link

    async def _listen(self, mesh: Mesh) -> str:
        return self._world.network.listen(self.process, mesh)

    # The process

    def _clock(self) -> float:
        """Return a time that goes on with each look: user code takes as long as it likes."""
        busy_until_s = max(self._busy_until_s, self.process.loop.now_s)
        self._busy_until_s = busy_until_s + self._random.expovariate(1 / COST_S)
        return self._busy_until_s

    def _call_soon(self, turn: Callable[[], None]) -> None:
        now_s = self.process.loop.now_s
        self.process.call_later(max(self._busy_until_s - now_s, 0.0), turn)

    def _start_in_epoch(self, work: Any) -> None:
        self._of_epoch = [task for task in self._of_epoch if not task.ended.is_set()]
        self._of_epoch.append(self.process.start(work))

    def _end_epoch(self) -> None:
        for task in self._of_epoch:
            task.cancel()
        self._of_epoch = []

    def _tick(self) -> None:
        self.process.call_later(TICK_S, self._tick)
        self.member.mesh.acknowledge()
        self.member.backlog_changed()

    def _failed(self, failures: list[Failure]) -> None:
        for failure in failures:
            self._tell("record.failed", {"step": failure.step, "error": failure.error})
            if (failure.step, failure.error) not in self._world.known_failures:
                self._world.problems.append(f"step {failure.step!r} failed: {failure.error}")

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        self.process.loop.tell(self.process.name, f"{event} {values}")

    def _warn(self, event: str, error: WallarooError) -> None:
        self.process.loop.tell(self.process.name, f"{event}: {error.what}")


def _refuse_unreadable(checkpoint: int, keys: list[UnreadableKey]) -> None:
    raise unreadable_error(checkpoint, keys)
