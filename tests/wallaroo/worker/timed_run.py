"""Runs one timed state on several workers through real shares, restores and moves.

Input is a list of records whose disorder stays within a bound, so nothing is late. A crash takes
all workers back to the last committed checkpoint, with any number of workers: what they gave after
it never happened, and the input after it is read again.
"""

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from math import ceil
from typing import Any

from tests.wallaroo.worker.test_state_transfer import Mesh, at_once
from wallaroo.checkpoint.manifest import Manifest, SinkShare, WorkerCheckpoint
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.restorer import Restored, Restorer
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.share_writer import Limits, ShareWriter, SourcePositions
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.testing.model import TimedRecord
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application
from wallaroo.worker.state_transfer import StateTransfer

LIMITS = (
    Limits(part_bytes=150, copies_max=1, keys_spared=4, chunk_keys_max=2),
    # All of a checkpoint is in one part, and is written again by each second one.
    Limits(copies_max=0, keys_spared=0, chunk_keys_max=2),
    Limits(),
)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as stopped:
        return stopped.value
    raise AssertionError("it waits")


class Parts:
    """The store of all workers."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes:
        return self.data[name]

    def describe(self, name: str) -> str:
        return name


class TimedWorker:
    """One worker and what it saves."""

    def __init__(
        self, me: WorkerName, plan: Application, epoch: int, parts: Parts, limits: Limits
    ) -> None:
        self.me, self._plan, self._parts = me, plan, parts
        self.flow = Dataflow(plan, me, DataflowOptions(tracks_changes=True, stop_on_error=True))
        self.saved: WorkerCheckpoint | None = None
        self.saving = ShareWriter(
            me, Epoch(epoch), self.flow, lambda: 0.0, limits, StatePickler(), self
        )

    def bind(self, workers: tuple[WorkerName, ...], owners: PartitionMap) -> None:
        self.flow.bind(workers, {owners.state: owners})

    @property
    def store(self) -> Any:
        assert self.flow.timed is not None
        (store,) = self.flow.timed.stores.values()
        return store

    def take(self, record: TimedRecord) -> None:
        assert self.flow.timed is not None
        (name,) = self.flow.timed.names
        self.store.add(record.key, record.value, record.time)
        self.flow.timed.give(name, record.time)

    def results(self) -> list[str]:
        return [str(row) for _, rows in self.flow.take_output() for row in rows]

    def share_saved(self, content: WorkerCheckpoint) -> None:
        self.saved = WorkerCheckpoint.from_wire(content.to_wire())

    def share_failed(self, error: WallarooError) -> None:
        raise error

    def part_written(self, name: str, data: bytes) -> None:
        self._parts.data[name] = data
        self.saving.part_stored(name, None)

    def restore(self, manifest: Manifest, owners: PartitionMap) -> None:
        restorer = Restorer(
            self.me,
            self._plan,
            self.flow.saved_states,
            {owners.state: owners},
            fresh_shapes(self._plan),
            self._parts,
            at_once,
        )
        found: Restored = run(restorer.restore(manifest))
        assert not found.unreadable
        if found.parts is None:
            self.saving.mark_all_changed()
        else:
            self.saving.restored(found.parts, found.gave_at, found.took)


class TimedRun:
    """A cluster by hand. Members are numbered; a run begins with one."""

    def __init__(
        self,
        plan: Application,
        records: Sequence[TimedRecord],
        bound: int,
        limits: Limits = LIMITS[0],
    ) -> None:
        self._plan, self._records, self._bound = plan, records, bound
        self._limits = limits
        self.parts = Parts()
        self._position = 0
        self._clock = BEFORE_ALL
        self._results: list[str] = []
        self._epoch = 0
        self._barrier = 0
        self.manifest: Manifest | None = None
        self._committed = (0, 0)
        """Position of the input, and number of results."""
        self._at_cut: tuple[int, int] | None = None
        self.workers: dict[WorkerName, TimedWorker] = {}
        self._owners: PartitionMap
        self._start((WorkerName("w0"),))

    def finish(self) -> Counter[str]:
        """Take all input, and fire all windows; return the results."""
        self.abandon()
        while self._position < len(self._records):
            self.take_record()
        self._clock = END
        self.move_clock()
        while self.fire(3):
            pass
        assert all(worker.store.fired == END for worker in self.workers.values())
        return Counter(self._results)

    @property
    def is_saving(self) -> bool:
        return self._at_cut is not None

    def take_record(self) -> None:
        if self._position < len(self._records):
            record = self._records[self._position]
            self._position += 1
            worker = self.workers[self._owners.owner_of(record.key)]
            worker.take(record)
            self._results += worker.results()
            self._clock = max(self._clock, record.time - self._bound)
            assert worker.store.figures().late_count == 0

    def move_clock(self) -> None:
        for worker in self.workers.values():
            if self._clock > worker.store.clock:
                worker.store.advance(self._clock)

    def fire(self, key_count: int, share: float = 1.0) -> int:
        """Fire some keys on this share of the workers; return how many there were."""
        fired = 0
        for worker in [*self.workers.values()][: ceil(share * len(self.workers))]:
            assert worker.flow.timed is not None
            fired += worker.flow.timed.fire_some(key_count)
            self._results += worker.results()
            assert worker.store.fired <= worker.store.clock
        return fired

    def freeze(self) -> None:
        if self.is_saving:
            return
        self._barrier += 1
        self._at_cut = self._position, len(self._results)
        for worker in self.workers.values():
            worker.saving.freeze(CheckpointId(self._barrier), SourcePositions([], {}))

    def write(self) -> None:
        if self.is_saving:
            for worker in self.workers.values():
                if worker.saved is None and not worker.saving.write_slice():
                    worker.saving.output_settled(CheckpointId(self._barrier), SinkShare())

    def commit(self) -> None:
        if self._at_cut is None:
            return
        while any(worker.saved is None for worker in self.workers.values()):
            self.write()
        shares = {}
        for worker in self.workers.values():
            assert worker.saved is not None
            shares[str(worker.me)], worker.saved = worker.saved, None
        self.manifest = Manifest(
            number=CheckpointId(self._barrier),
            epoch=Epoch(self._epoch),
            is_claim=False,
            application=self._plan.name,
            outline=list(outline(self._plan)),
            members=[*self.workers],
            partition_maps=[self._owners.to_wire()],
            workers=shares,
            file_lengths={},
            taken_unix_s=0.0,
            duration_s=0.0,
            shapes=fresh_shapes(self._plan),
        )
        self._committed, self._at_cut = self._at_cut, None
        for worker in self.workers.values():
            worker.saving.committed()
            run(worker.saving.compact(self.parts, at_once))

    def abandon(self) -> None:
        if self.is_saving:
            self._at_cut = None
            for worker in self.workers.values():
                worker.saved = None
                worker.saving.abandon()

    def crash(self, members: Sequence[str]) -> None:
        """Take all workers back to the last checkpoint, as these members."""
        self._position, result_count = self._committed
        del self._results[result_count:]
        before = [each.time - self._bound for each in self._records[: self._position]]
        self._clock = max(before, default=BEFORE_ALL)
        self._at_cut = None
        self._start(tuple(map(WorkerName, members)))

    def go_on_as(self, plan: Application) -> None:
        """Stop after the last checkpoint, and start another release of the application."""
        self._plan = plan
        self.crash([*self.workers])

    def resize(self, members: Sequence[str]) -> None:
        """Go on with these members; not while a checkpoint is written."""
        if self.is_saving:
            return
        self._barrier += 1
        names = tuple(map(WorkerName, members))
        before, after = self._owners, self._owners.rebalance(names)
        old, new = self.workers, {name: self._worker(name) for name in names}
        everybody = {**new, **old}
        transfers: dict[WorkerName, StateTransfer] = {}
        meshes: dict[WorkerName, Any] = {}
        for name, worker in everybody.items():
            owners = {before.state: before} if name in old else None
            transfers[name] = StateTransfer(
                1, name, worker.flow, owners, {before.state: after}, [*old], StatePickler()
            )
            meshes[name] = Mesh(name, tuple(each for each in everybody if each != name))
            run(transfers[name].find(lambda: 0.0, at_once))
        self.take_record()
        for name in old:
            run(transfers[name].give(names, meshes[name], lambda: 0.0, at_once))
        for name in old:
            for taker, link in meshes[name].outgoing.items():
                for frame in link.frames:
                    transfers[taker].received(link, frame)
        self.workers, self._owners = {name: everybody[name] for name in names}, after
        for name in names:
            worker, moved = everybody[name], transfers[name]
            if name in old:
                worker.saving.before_take_in()
            moved.finish()
            worker.saving.owners_changed(
                CheckpointId(self._barrier), gave=moved.gives, took=moved.taken_partitions()
            )
            worker.bind(names, after)

    def _worker(self, name: WorkerName) -> TimedWorker:
        return (
            self.workers[name]
            if name in self.workers
            else TimedWorker(name, self._plan, self._epoch, self.parts, self._limits)
        )

    def _start(self, members: tuple[WorkerName, ...]) -> None:
        self._epoch += 1
        self.workers = {}
        (state,) = self._plan.states
        owners = PartitionMap.initial(state, 1024, [], members)
        if self.manifest is not None:
            saved = PartitionMap.from_wire(self.manifest.partition_maps[0])
            owners = saved if {*saved.owners} == {*members} else saved.rebalance(members)
        self._owners = owners
        self.workers = {name: self._worker(name) for name in members}
        for worker in self.workers.values():
            worker.bind(members, owners)
            if self.manifest is not None:
                worker.restore(self.manifest, owners)


def drawn_records(chance: random.Random, count: int, bound: int, keys: str) -> list[TimedRecord]:
    """Return records whose disorder stays within a bound."""
    top, records = chance.randint(-50, 0), []
    for number in range(count):
        top += chance.choice([0, 0, 1, 2, 9])
        records.append(TimedRecord(chance.choice(keys), top - chance.randint(0, bound), number))
    return records


MEMBERS = (("w0",), ("w0", "w1"), ("w1", "w2"), ("w0", "w1", "w2"))


def play(timed: TimedRun, chance: random.Random) -> Counter[str]:
    """Do all that can happen in a drawn order; return the results."""
    events: dict[str, Callable[[], object]] = {
        "r": timed.take_record,
        "c": timed.move_clock,
        "f": lambda: timed.fire(chance.randint(1, 3), chance.random()),
        "w": timed.write,
        "F": timed.freeze,
        "C": timed.commit,
        "A": timed.abandon,
        "X": lambda: timed.crash(chance.choice(MEMBERS)),
        "!": lambda: timed.resize(chance.choice(MEMBERS)),
    }
    for _ in range(chance.randint(20, 150)):
        events[chance.choice("rrrrrrccffwwwFCAX!")]()
    return timed.finish()
