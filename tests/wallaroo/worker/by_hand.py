"""One worker by hand: a test gives it orders as an initializer does, and sees what it says.

Nothing around the worker is real. What it waits for goes on in ``pass_time``.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import wallaroo
from tests.wallaroo.ingest.orders import NotedSource
from tests.wallaroo.ingest.senders import NotedListener, all_of
from tests.wallaroo.links.ends import NotedConnection, content_of
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.restorer import UnreadableKey
from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import ConnectionCopy, HandOverEvents, Offer
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import PlacedSource, SourceEvents
from wallaroo.ingest.sources import Sources
from wallaroo.ingest.split_ports import SplitSource
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.metrics.tally import Counts
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.operators.failures import Failure
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import EngineLoop
from wallaroo.testing.calls import PlainCalls
from wallaroo.testing.waiting import Flag, Waiting
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Assign, ControlFrame, Open
from wallaroo.wire.data_frames import Barrier, DataFrame, LinkHello, LinkWelcome, MovedAll
from wallaroo.worker.machine import WorkerMachine
from wallaroo.worker.sink_port import FinishCut, SinkEvents, nothing_to_name
from wallaroo.worker.worker_sinks import WorkerSinks

ME, A, B = WorkerName("me"), WorkerName("a"), WorkerName("b")
E1, E2 = Epoch(1), Epoch(2)
STATE = "counts"
ROUNDS = 20
"""Turns of everything that waits; more than any chain of waits here is long."""


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def whole(record: str) -> str:
    return record


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[str, bool]:
    state["n"] = state.get("n", 0) + 1
    return record, True


@wallaroo.encoder
def encode(record: str) -> str:
    return record


def new_plan() -> Application:
    return (
        wallaroo.ApplicationBuilder("counts")
        .new_pipeline("in", wallaroo.TCPSourceConfig("127.0.0.1", 0, decode))
        .to_state_partition(count, dict, STATE, whole)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 1, encode))
        .build()
    )


def partitions(*workers: WorkerName) -> PartitionMap:
    return PartitionMap.initial(STATE, 16, [], workers)


class NotedSink:
    """A sink with a queue that acknowledges what the test says."""

    def __init__(self) -> None:
        self.stream = self
        self.outbox = None
        self.preparing = None
        self.queue = SinkQueue()
        self.written_bytes = 0
        self.settled_bytes = 0
        self.backlog_bytes = 0
        self.are_connected = Flag()
        self.are_connected.set()
        self.are_flushed = Flag()
        self.done: list[str] = []

    def write(self, rows: list[Any]) -> int:
        chunk = b"".join(rows)
        self.written_bytes += len(chunk)
        self.queue.append(chunk)
        return len(chunk)

    def settle(self) -> None: ...

    async def connected(self) -> None:
        await self.are_connected.wait()

    def hold(self, number: int) -> None:
        self.queue.hold(number)

    def release(self, number: int) -> None:
        self.queue.release(number)

    def drop_held(self) -> None:
        self.queue.drop_held()

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        raise AssertionError(f"checkpoints are off, and here is {checkpoint}")

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        self.done.append(f"cut at {checkpoint}")
        return nothing_to_name

    def committed(self, checkpoint: CheckpointId) -> None:
        self.done.append(f"committed {checkpoint}")

    async def discard(self) -> None:
        self.done.append("discarded")

    async def flush(self) -> None:
        await self.are_flushed.wait()

    def close(self) -> None:
        self.done.append("closed")


class NotedHandOver:
    """Offers connections to others; the test says who takes them."""

    path = "here/me"

    def __init__(self) -> None:
        self.offers: list[tuple[Offer, dict[str, list[ConnectionCopy]]]] = []
        self.takes: Callable[[Sequence[str]], set[str]] = set

    def is_here(self, path: str) -> bool:
        return path.startswith("here/")

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[ConnectionCopy]]) -> set[str]:
        self.offers.append((offer, {path: [*share] for path, share in shares.items()}))
        return self.takes([*shares])


class NotedSourcePorts:
    """What the sources are made of: one listener."""

    def __init__(
        self, plan: Application, engine: Engine, report: Callable[[str, Any], None]
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.report = report
        self.intake = ReadBudget()
        self.listener = NotedListener()
        self.listeners = {0: self.listener}
        self.replayed = Flag()
        self.splits = NotedSource([])
        """What reads the source of the pipeline that is read by split, if there is one."""

    def new_placed(self, index: int) -> PlacedSource:
        raise AssertionError(f"pipeline {index} has no such source")

    def new_split_source(self, index: int) -> SplitSource:
        return self.splits

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        await all_of(works)


class WorkerByHand:
    """The process around one worker, as ``WorkerPorts``; checkpoints are off."""

    def __init__(self, incarnation: Epoch = E1, plan: Application | None = None) -> None:
        self.name = ME
        self.pid = 4711
        self.plan = plan or new_plan()
        self.durable = None
        self.pickler = StatePickler()
        self.deliveries = None
        self.calls = PlainCalls()
        self.sent: list[ControlFrame] = []
        self.warned: list[str] = []
        self.ended_with: int | None = None
        self.dialed: dict[WorkerName, OutgoingLink] = {}
        self.carried: dict[WorkerName, NotedConnection] = {}
        """By worker: what this one has sent there."""
        self.sink: NotedSink
        self.hand_over: NotedHandOver
        self.source_ports: NotedSourcePorts
        self._works: list[Coroutine[Any, Any, None]] = []
        self._turns: list[Callable[[], None]] = []
        self._now_s = 0.0
        self.machine = WorkerMachine(self, incarnation)

    # What the worker asks for

    def new_sources(self, engine: Engine, events: SourceEvents) -> Sources:
        self.source_ports = NotedSourcePorts(self.plan, engine, self.report)
        return Sources(self.source_ports, events)

    def new_sinks(self, events: SinkEvents) -> WorkerSinks:
        self.sink = NotedSink()
        self.sinks = WorkerSinks([self.sink], all_of)
        return self.sinks

    def new_hand_over(self, events: HandOverEvents) -> NotedHandOver:
        self.hand_over = NotedHandOver()
        return self.hand_over

    def new_dataflow(self) -> Dataflow:
        return Dataflow(self.plan, self.name, DataflowOptions(clock=self.clock))

    def new_pressure(self) -> Pressure:
        return Pressure()

    def dial(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
    ) -> OutgoingLink:
        link = OutgoingLink(hello, address, pressure, Flag, on_progress)
        self.dialed[hello.receiver] = link
        return link

    async def listen(self, mesh: Mesh) -> str:
        return "me:1"

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._works.append(work)

    def end_epoch(self) -> None:
        for work in self._works:
            work.close()
        self._works = []

    def wall_ns(self) -> int:
        return round(self._now_s * 1e9)

    def clock(self) -> float:
        self._now_s += 1e-6
        return self._now_s

    async def pause(self, delay_s: float, /) -> None:
        await Waiting()

    @property
    def loop(self) -> EngineLoop:
        return self

    def call_soon(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None: ...

    def send(self, frame: ControlFrame) -> None:
        self.sent.append(frame)

    def before_first_open(self) -> None: ...

    def leave_out(self, checkpoint: int, keys: list[UnreadableKey]) -> None:
        raise AssertionError(f"checkpoints are off, and here is {checkpoint}: {keys}")

    def records_failed(self, failures: list[Failure]) -> None:
        raise AssertionError(failures)

    def counts(self, dataflow: Dataflow) -> dict[str, Counts]:
        return {}

    def report(self, event: str, values: dict[str, Any]) -> None: ...

    def warn(self, event: str, error: WallarooError) -> None:
        self.warned.append(f"{event}: {error.what}")

    def end(self, status: int) -> None:
        self.ended_with = status

    # What a test does

    def pass_time(self) -> list[ControlFrame]:
        """Let everything go on that waits; return what was said since the last call."""
        for _ in range(ROUNDS):
            for turn in self._taken(self._turns):
                turn()
            for work in self._taken(self._works):
                try:
                    work.send(None)
                except StopIteration:
                    continue
                self._works.append(work)
        return self._taken(self.sent)

    @staticmethod
    def _taken(items: list[Any]) -> list[Any]:
        taken = [*items]
        items.clear()
        return taken

    def order(self, frame: ControlFrame) -> list[ControlFrame]:
        """Give an order; return what the worker says upon it."""
        self.machine.ordered(frame)
        return self.pass_time()

    def join(self) -> list[ControlFrame]:
        self.start(self.machine.join())
        return self.pass_time()

    def link_up(self, *workers: WorkerName) -> list[ControlFrame]:
        """Have links to these workers stand; return what the worker says upon it."""
        for worker in workers:
            connection = self.carried[worker] = NotedConnection()
            link = self.dialed[worker]
            link.received(connection, link.hello, content_of(LinkWelcome(0, False)))
        return self.pass_time()

    def carried_to(self, worker: WorkerName) -> list[DataFrame]:
        """Return what was sent to a worker since the last call."""
        return self.carried[worker].taken()

    def running(self, *others: WorkerName) -> "WorkerByHand":
        """Bring the worker to where records run, as a member beside these."""
        self.join()
        self.order(assign(E1, ME, *others))
        self.link_up(*others)
        self.order(Open(E1))
        return self

    def comes_from(self, worker: WorkerName, frame: Barrier | MovedAll) -> list[ControlFrame]:
        """Another worker sends a frame, and it is processed."""
        link = NotedLink(worker)
        if isinstance(frame, Barrier):
            self.machine.barrier_received(link, frame)
        else:
            self.machine.states_received(link, frame)
        return self.pass_time()


class NotedLink:
    """Stands for the link over which a frame arrives."""

    incarnation = E1

    def __init__(self, worker: WorkerName) -> None:
        self.worker = worker

    def processed(self, frame: object) -> None: ...


def members(*workers: WorkerName, joining: Sequence[WorkerName] = ()) -> list[list[Any]]:
    """Return workers as frames list them; those that join have the epoch to come."""
    return [
        [worker, E2 if worker in joining else E1, f"{worker}:1"] for worker in [*workers, *joining]
    ]


def assign(epoch: Epoch, *workers: WorkerName, **facts: Any) -> Assign:
    values: dict[str, Any] = {
        "epoch": epoch,
        "members": members(*workers),
        "partition_maps": [partitions(*workers).to_wire()],
        "source_addresses": ["127.0.0.1:7010"],
        "source_workers": [""],
        "manifest": 0,
        "barrier": CheckpointId(0),
        "resize": 0,
        "left": [],
        "held_sinks": [],
        "given_up": [],
    }
    return Assign(**{**values, **facts})
