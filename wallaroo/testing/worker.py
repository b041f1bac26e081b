"""One simulated worker process: the real ``WorkerMachine`` with simulated surroundings."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.pickling import ImportedClasses, StatePickler
from wallaroo.checkpoint.restorer import UnreadableKey, unreadable_error
from wallaroo.checkpoint.share_writer import Limits
from wallaroo.connectors.base import Promise
from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import HandOverEvents
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import SourceEvents, SourceListener
from wallaroo.ingest.sources import Sources
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.metrics.tally import Counts
from wallaroo.names import Epoch, SinkId, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import EngineLoop
from wallaroo.testing.calls import SimulatedCalls
from wallaroo.testing.connection_handover import SimulatedHandOver
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import Chaos
from wallaroo.testing.journals import JournalFolder, SimulatedJournal, Sync
from wallaroo.testing.logs import SimulatedLog
from wallaroo.testing.loop import Process, Task
from wallaroo.testing.network import Network, SimulatedLink
from wallaroo.testing.once_sinks import OnceSink
from wallaroo.testing.placed import PlacedRunner, Records
from wallaroo.testing.prepared_targets import PreparedTargets
from wallaroo.testing.pushed import Inbox
from wallaroo.testing.resources import MadeResources
from wallaroo.testing.senders import SendersHall
from wallaroo.testing.sinks import simulated_sinks
from wallaroo.testing.sources import Listener
from wallaroo.testing.splits import SimulatedSplits
from wallaroo.testing.store import Objects, SimulatedStore
from wallaroo.testing.streams import Receivers
from wallaroo.testing.targets import Targets
from wallaroo.testing.two_phase_sinks import TwoPhaseSink
from wallaroo.testing.waiting import Flag
from wallaroo.topology.plan import Application
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.data_frames import LinkHello
from wallaroo.worker.machine import WorkerMachine
from wallaroo.worker.outbox import OutboxLimits
from wallaroo.worker.ports import DurableStorage
from wallaroo.worker.sink_port import SinkEvents, SinkRunner
from wallaroo.worker.worker_sinks import WorkerSinks

TICK_S = 0.05
COST_S = 0.001
"""Of what is measured by the engine's clock, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Limits of one run, small enough that a short one reaches them."""

    checkpoints: Limits
    outbox: OutboxLimits
    segment_bytes: int
    high_water_bytes: int
    journal_sync: Sync

    @classmethod
    def drawn(cls, random: Random) -> "Sizes":
        """Return the limits of the run that ``random`` belongs to."""
        checkpoints = Limits(
            part_bytes=random.choice([200, 600, 100_000]),
            copies_max=random.choice([1, 1, 2]),
            keys_spared=random.choice([0, 0, 10]),
            chunk_keys_max=random.choice([1, 3, 50]),
        )
        segment_bytes = random.choice([300, 2000, 100_000])
        high_water_bytes = random.choice([300, 3000, 1 << 20])
        return cls(
            checkpoints=checkpoints,
            outbox=OutboxLimits(
                batch=checkpoints.part_bytes, kept=segment_bytes, undelivered=4 * high_water_bytes
            ),
            segment_bytes=segment_bytes,
            high_water_bytes=high_water_bytes,
            journal_sync="batch",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside of the processes."""

    plan: Application
    chaos: Chaos
    disk: Disk
    objects: Objects
    network: Network
    takers: dict[str, SimulatedHandOver] = field(default_factory=dict)
    """Who takes connections of senders at which path."""
    receivers: Receivers
    targets: Targets
    """Where sinks write that are exactly once."""
    prepared_targets: PreparedTargets
    """Where sinks of two phases do."""
    hall: SendersHall
    placed: Mapping[int, Records]
    logs: Mapping[int, SimulatedLog]
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
    """A worker from the start of its process on, as ``WorkerPorts``."""

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
        self.wall_ns = process.loop.wall_ns
        self.name = name
        self.pid = 1
        self.plan = world.plan
        self.pickler = StatePickler(world.imported)
        self.deliveries = None
        self.loop: EngineLoop = self
        self.calls = SimulatedCalls(process, world.chaos, world.problems)
        self._resources = MadeResources(world.plan)
        self._random = process.loop.random
        self._send = send
        self._of_epoch: list[Task] = []
        self._busy_until_s = 0.0
        disk, sizes = world.disk, world.sizes
        self._writer = SimulatedJournal(
            process, disk, name, incarnation, sizes.journal_sync, sizes.segment_bytes
        )
        self._journal = Journal(JournalFolder(process, disk), self._writer)
        self.durable = self._durable() if world.is_durable else None
        self.machine = WorkerMachine(self, incarnation, checks_itself=True)
        process.start(self.machine.join())
        self._tick()

    def _durable(self) -> DurableStorage:
        process, writer = self.process, self._writer
        store = SimulatedStore(process, self._world.objects, self._world.chaos)
        return DurableStorage(
            store=store,
            manifests=ManifestLog(store, process.pause, lambda: writer.name),
            journal=self._journal,
            pause=process.pause,
            limits=self._world.sizes.checkpoints,
            outbox_limits=self._world.sizes.outbox,
        )

    # What the worker's decisions ask for

    def new_sources(self, engine: Engine, events: SourceEvents) -> Sources:
        """Return all sources."""
        return Sources(
            SimulatedSourcePorts(
                self.process,
                self._world,
                engine,
                (self._journal, self._writer),
                self.report,
                events,
            ),
            events,
        )

    def new_sinks(self, events: SinkEvents) -> WorkerSinks:
        """Return all sinks."""
        world = self._world
        stage = self._writer.name if world.is_durable else None
        process, chaos = self.process, world.chaos

        def new_once(_: SinkId) -> OnceSink:
            store = SimulatedStore(process, world.objects, chaos)
            return OnceSink(process, store, world.targets, chaos, events.backlog_changed)

        def new_two_phase(sink: SinkId) -> TwoPhaseSink:
            bytes_max = world.sizes.segment_bytes
            progress = events.backlog_changed
            targets = world.prepared_targets
            return TwoPhaseSink(self.name, sink, process, targets, chaos, progress, bytes_max)

        deferred: dict[Promise, Callable[[SinkId], SinkRunner]] = {}
        if world.is_durable:
            deferred = {Promise.OUTBOX: new_once, Promise.TWO_PHASES: new_two_phase}
        return simulated_sinks(
            world.plan,
            stage,
            process,
            world.disk,
            world.receivers,
            chaos,
            events,
            deferred,
        )

    def new_hand_over(self, events: HandOverEvents) -> SimulatedHandOver:
        """Return what passes connections of senders on."""
        return SimulatedHandOver(self.process, self._world.chaos, self._world.takers, events)

    def new_dataflow(self) -> Dataflow:
        """Return chains and states with nothing in them."""
        options = DataflowOptions(
            clock=self.clock,
            tracks_changes=self._world.is_durable,
            clock_ns=lambda: 0,
            resources=self._resources.made,
            wall_ns=self.wall_ns,
        )
        return Dataflow(self._world.plan, self.name, options)

    def new_pressure(self) -> Pressure:
        """Return what knows of the backlogs."""
        high = self._world.sizes.high_water_bytes
        return Pressure(high, high // 2)

    def dial(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
    ) -> OutgoingLink:
        """Return a link that is kept connected."""
        network = self._world.network
        link = SimulatedLink(self.process, network, hello, address, pressure, on_progress)
        self.start(link.run())
        return link

    async def listen(self, mesh: Mesh) -> str:
        """Accept links for this mesh."""
        return self._world.network.listen(self.process, mesh)

    def start(self, work: Any) -> None:
        """Run this until it is done or the epoch ends."""
        self._of_epoch = [task for task in self._of_epoch if not task.ended.is_set()]
        self._of_epoch.append(self.process.start(work))

    def end_epoch(self) -> None:
        """Cancel everything that ``start`` started."""
        for task in self._of_epoch:
            task.cancel()
        self._of_epoch = []

    def clock(self) -> float:
        """Return a time that goes on with each call: user code takes as long as it likes."""
        busy_until_s = max(self._busy_until_s, self.process.loop.now_s)
        self._busy_until_s = busy_until_s + self._random.expovariate(1 / COST_S)
        return self._busy_until_s

    async def pause(self, delay_s: float, /) -> None:
        """Wait; 0 lets others have their turn."""
        await self.process.pause(delay_s)

    def call_soon(self, turn: Callable[[], None]) -> None:
        """Call ``turn`` when user code is done with what it does."""
        now_s = self.process.loop.now_s
        self.process.call_later(max(self._busy_until_s - now_s, 0.0), turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None:
        """Call ``run`` after a delay."""
        self.process.call_later(delay_s, run)

    def send(self, frame: ControlFrame) -> None:
        """Send a frame to the initializer."""
        self._send(frame)

    def before_first_open(self) -> None:
        """Nothing is to be done here."""

    def leave_out(self, checkpoint: int, keys: list[UnreadableKey]) -> None:
        """Refuse to go on: nothing here makes keys unreadable."""
        raise unreadable_error(checkpoint, keys)

    def records_failed(self, failures: list[Failure]) -> None:
        """Note failures that a plain run does not have."""
        for failure in failures:
            self.report("record.failed", {"step": failure.step, "error": failure.error})
            if (failure.step, failure.error) not in self._world.known_failures:
                self._world.problems.append(f"step {failure.step!r} failed: {failure.error}")

    def counts(self, dataflow: Dataflow) -> dict[str, Counts]:
        """Return what this dataflow has counted."""
        return dataflow.counts()

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Add a line to the simulation's story."""
        self.process.loop.tell(self.process.name, f"{event} {values}")

    def warn(self, event: str, error: WallarooError) -> None:
        """Add a line to the simulation's story."""
        self.process.loop.tell(self.process.name, f"{event}: {error.what}")

    def end(self, status: int) -> None:
        """End the process."""
        self.process.end(f"ended with status {status}")

    def _tick(self) -> None:
        self.process.call_later(TICK_S, self._tick)
        self.machine.mesh.acknowledge()
        self.machine.backlog_changed()


class SimulatedSourcePorts:
    """What the sources of a worker need of its process."""

    def __init__(
        self,
        process: Process,
        world: World,
        engine: Engine,
        journal: tuple[Journal, SimulatedJournal],
        report: Callable[[str, dict[str, Any]], None],
        events: SourceEvents,
    ) -> None:
        self.plan = world.plan
        self.engine = engine
        self.intake = ReadBudget()
        self.listeners: dict[int, SourceListener] = {
            index: Listener(
                index, pipeline.source, process, engine, self.intake, world.hall, journal
            )
            for index, pipeline in enumerate(world.plan.pipelines)
            if pipeline.source.listening_address
        }
        for index, broker in world.hall.brokers.items():
            self.listeners[index] = Inbox(index, process, engine, self.intake, broker, journal)
        self.replayed = Flag()
        self._process = process
        self._world = world
        self._report = report
        self._events = events

    def new_placed(self, index: int) -> PlacedRunner:
        """Return what runs the source of this pipeline."""
        placed = self._world.placed[index]
        return PlacedRunner(index, self.engine, placed, self._events.source_ended)

    def new_split_source(self, index: int) -> SimulatedSplits:
        """Return what reads partitions of the log of this pipeline."""
        world = self._world
        return SimulatedSplits(
            index,
            world.logs[index],
            self._process,
            self.engine,
            self._events,
            world.chaos,
            world.problems,
        )

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time; return when the last one has ended."""
        await self._process.all_of(works)

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Add a line to the simulation's story."""
        self._report(event, values)
