"""Simulated targets that keep a number for each slot, and what an outbox asks of one.

A request travels to the target without its process: if that ends, or goes back to a checkpoint,
the request still arrives, perhaps long after a successor has written. Only opening the slot again
excludes that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import Manifest, OutboxBatch
from wallaroo.checkpoint.outbox_objects import read_results
from wallaroo.checkpoint.store import create_or_find
from wallaroo.errors import StoreError
from wallaroo.names import SinkId
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.testing.store import SimulatedStore
from wallaroo.testing.waiting import Waiting
from wallaroo.worker.outbox import Outbox
from wallaroo.worker.sink_port import OutboxSetup
from wallaroo.worker.slots import slot_name

DELAY_S = 0.01
SLOW_PROBABILITY = 0.15
SLOW_DELAY_S = 1.0
LOST_PROBABILITY = 0.1
AWAY_PROBABILITY = 0.05
AWAY_S = 4.0
ZOMBIE_PROBABILITY = 0.1
ZOMBIE_S = 3.0
OTHER_LINEAGE = "another store"


@dataclass(slots=True)
class _Slot:
    """What a target knows of a slot."""

    number: int | None = None
    fence: int = 0
    """How often it was opened; writes of an earlier opener are refused."""


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """A batch that a target has, by the name of its object."""

    sink: int
    name: str
    rows: list[Any] = field(repr=False)


class Targets:
    """The targets of all sinks, for all processes."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self.written: list[WrittenBatch] = []
        """In the order in which it became visible."""
        self.away_until_s = 0.0

    def open(self, slot: str) -> tuple[int, int | None]:
        """Exclude all earlier openers of a slot; return the right to write, and its number."""
        known = self._slots.setdefault(slot, _Slot())
        known.fence += 1
        return known.fence, known.number

    def write(self, slot: str, fence: int, number: int, batch: WrittenBatch) -> bool:
        """Write rows and number in one step; return whether the writer may do that."""
        known = self._slots.setdefault(slot, _Slot())
        if known.fence != fence:
            return False
        known.number = number
        self.written.append(batch)
        return True

    def use_by_another_store(self, application: str, sinks: int, workers: Sequence[str]) -> None:
        """Let a run with another store of checkpoints write to the same targets."""
        for sink in range(sinks):
            for worker in workers:
                slot = slot_name(application, OTHER_LINEAGE, SinkId(sink), worker)
                fence, number = self.open(slot)
                self.write(slot, fence, (number or 0) + 1, WrittenBatch(-1, "of another store", []))


class Reachable(Protocol):
    """Targets that may be away for a while."""

    away_until_s: float


class Requests:
    """The requests of one process to targets."""

    def __init__(self, process: Process, targets: Reachable, chaos: Chaos) -> None:
        self._process = process
        self._random = process.loop.random
        self._targets = targets
        self._chaos = chaos
        self.count = 0
        """Those that are not answered yet."""

    async def ask(self, arrive: Callable[[], object], *, may_linger: bool = False) -> bool:
        """Send a request; return whether it was answered."""
        loop, chaos, targets = self._process.loop, self._chaos, self._targets
        if chaos.take("targets_away", AWAY_PROBABILITY):
            targets.away_until_s = loop.now_s + self._random.random() * AWAY_S
        if loop.now_s < targets.away_until_s:
            await self._process.pause(self._random.random() * DELAY_S)
            return False
        is_slow = chaos.happens("slow_sinks", SLOW_PROBABILITY)
        delay_s = self._random.random() * (SLOW_DELAY_S if is_slow else DELAY_S)
        if may_linger and chaos.take("zombie_writes", ZOMBIE_PROBABILITY):
            # Nobody waits for it any longer; the slot is opened again meanwhile.
            loop.call_later(delay_s + self._random.random() * ZOMBIE_S, arrive)
            await self._process.pause(delay_s)
            return False
        loop.call_later(delay_s, arrive)
        is_lost = chaos.take("lost_answers", LOST_PROBABILITY)
        answered = Waiting()
        self.count += 1
        self._process.call_later(2 * delay_s, answered.finish)
        await answered
        self.count -= 1
        return not is_lost


class TargetPorts:
    """What one outbox asks of its process and of a simulated target."""

    def __init__(
        self,
        process: Process,
        store: SimulatedStore,
        targets: Targets,
        chaos: Chaos,
        setup: OutboxSetup,
        on_progress: Callable[[], None],
    ) -> None:
        self._process = process
        self._store = store
        self._targets = targets
        self._requests = Requests(process, targets, chaos)
        self._setup = setup
        self._on_progress = on_progress
        self._slot, self._fence = "", 0
        self.outbox = Outbox(setup.owner, setup.pickler, self, setup.limits)

    @property
    def request_count(self) -> int:
        """Requests to the target that are not answered yet."""
        return self._requests.count

    def put(self, name: str, data: bytes, after_s: float) -> None:
        """Put an object into the store after a pause."""
        self._process.start(self._put(name, data, after_s))

    async def _put(self, name: str, data: bytes, after_s: float) -> None:
        if after_s:
            await self._process.pause(after_s)
        self.outbox.stored(name, await create_or_find(self._store, name, data))

    def open(self, slot: str, after_s: float) -> None:
        """Open a slot and ask for its number."""
        self._process.start(self._open(slot, after_s))

    async def _open(self, slot: str, after_s: float) -> None:
        name = self._setup.slot_of(slot)
        await self._process.pause(after_s)
        answers: list[tuple[int, int | None]] = []
        if not await self._requests.ask(lambda: answers.append(self._targets.open(name))):
            self.outbox.failed()
            return
        (self._fence, last), self._slot = answers[0], name
        self.outbox.opened(slot, last)

    def write(self, batch: OutboxBatch, data: bytes | None) -> None:
        """Write a batch in the open slot."""
        self._process.start(self._write(batch, data))

    async def _write(self, batch: OutboxBatch, data: bytes | None) -> None:
        slot, fence = self._slot, self._fence
        try:
            data = data if data is not None else await self._store.get(batch.name)
        except StoreError:
            self.outbox.failed()
            return
        rows = read_results(data, batch, batch.name)
        written = WrittenBatch(batch.sink, batch.name, rows)
        may_write: list[bool] = []
        is_done = await self._requests.ask(
            lambda: may_write.append(self._targets.write(slot, fence, batch.number, written)),
            may_linger=True,
        )
        if is_done and may_write[0]:
            self.outbox.written()
        else:
            self.outbox.failed()

    def refuse(self, result: Any, reason: str) -> None:
        """Report what must not happen here: the records of a simulation can be pickled."""
        raise AssertionError(f"{result!r}: {reason}")

    def number_missing(self, batch: OutboxBatch) -> bool:
        """Add a line to the simulation's story."""
        self._process.loop.tell(self._process.name, f"the target has no number before {batch}")
        return True

    def progressed(self) -> None:
        """Look again at what is waited for."""
        self._setup.progressed()
        self._on_progress()


def once_output(targets: Targets, sink: int, line: Sequence[Manifest]) -> list[Any]:
    """Return the rows of a target that belong to these manifests, in order of arrival.

    A run that goes back to an older checkpoint leaves rows of the ones that it gives up.
    """
    names = {batch.name for manifest in line for batch in manifest.outbox()}
    return [
        row
        for batch in targets.written
        if batch.sink == sink and batch.name in names
        for row in batch.rows
    ]


def unnamed_batches(targets: Targets, manifests: Sequence[Manifest]) -> list[str]:
    """Return a line for each batch that became visible and that no manifest ever named."""
    names = {batch.name for manifest in manifests for batch in manifest.outbox()}
    return [
        f"batch {batch.name} was written, and no checkpoint names it"
        for batch in targets.written
        if batch.sink >= 0 and batch.name not in names
    ]
