"""Barriers on their way through one worker: what waits for them, and what they set free."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, cast

import pytest

from tests.wallaroo.worker.by_hand import (
    E1,
    ME,
    A,
    NotedLink,
    WorkerByHand,
    new_plan,
)
from wallaroo.checkpoint.manifest import SinkShare, WorkerCheckpoint
from wallaroo.errors import AlreadyExistsError, StateObjectError, StoreError, WallarooError
from wallaroo.names import CheckpointId, EdgeId, WorkerName
from wallaroo.wire.control import Committed, Drain, Drained, NotSaved, Saved
from wallaroo.wire.data_frames import Barrier
from wallaroo.worker.barriers import Barriers, Durability
from wallaroo.worker.context import WorkerContext

FIRST, SECOND = CheckpointId(1), CheckpointId(2)
EDGE = EdgeId(0)


class Noted:
    """Notes, in one list for all of its kind, which of its methods is called with what."""

    def __init__(self, name: str, calls: list[str], **values: Any) -> None:
        self._name = name
        self._calls = calls
        self.__dict__.update(values)

    def __getattr__(self, method: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            told = ", ".join(str(each) for each in arguments if isinstance(each, int | str))
            self._calls.append(f"{self._name} {method} {told}".rstrip())

        return call


class MemoryStore:
    """Objects by name; it may refuse to write."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.problem: WallarooError | None = None

    async def create(self, name: str, data: bytes) -> None:
        if self.problem is not None:
            raise self.problem
        if name in self.objects:
            raise AlreadyExistsError(f"{name} is there already")
        self.objects[name] = data

    async def get(self, name: str) -> bytes:
        return self.objects[name]


class Saving(Noted):
    """What writes the share of this worker."""

    def __init__(self, calls: list[str]) -> None:
        super().__init__("share", calls)
        self.stored: list[tuple[str, WallarooError | None]] = []

    def part_stored(self, name: str, error: WallarooError | None) -> None:
        self.stored.append((name, error))

    async def compact(self, store: object, pause: object) -> None:
        self._calls.append("share compact")


class AroundBarriers:
    """A worker beside ``a`` in which nothing is real but its barriers."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent: list[Any] = []
        self.warned: list[str] = []
        self.works: list[Coroutine[Any, Any, None]] = []
        self.positions: dict[int, int] | WallarooError = {0: 7}
        self.me, self.epoch = ME, E1
        inbox = Noted("inbox", self.calls)
        self.engine = Noted("engine", self.calls, inbox=inbox, timing=None)
        self.mesh = Noted("mesh", self.calls)
        self.sources = Noted(
            "sources",
            self.calls,
            is_replayed=True,
            positions=self._positions,
            senders=Noted("senders", self.calls),
            splits=Noted("splits", self.calls),
        )
        self.sinks = Noted("sinks", self.calls, cut=lambda _: self._reached)
        self.store, self.saving = MemoryStore(), Saving(self.calls)
        self.journal = Noted("journal", self.calls, positions=lambda is_closed: [])
        parts: list[Any] = [self.saving, self.journal, self.store, None]
        durability = Durability(*parts)
        self.barriers = Barriers(new_plan(), (ME, A), cast(WorkerContext, self), durability)

    def _positions(self) -> dict[int, int]:
        if isinstance(self.positions, WallarooError):
            raise self.positions
        return self.positions

    async def _reached(self) -> SinkShare:
        return SinkShare()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.works.append(work)

    def send(self, frame: Any) -> None:
        self.sent.append(frame)

    def warn(self, event: str, error: WallarooError) -> None:
        self.warned.append(f"{event}: {error.what}")

    def run(self) -> None:
        """Run what was started; nothing here has to wait."""
        works, self.works = self.works, []
        for work in works:
            with pytest.raises(StopIteration):
                work.send(None)

    def barrier_of(self, worker: WorkerName, checkpoint: CheckpointId) -> None:
        self.barriers.received(NotedLink(worker), Barrier(0, E1, checkpoint, EDGE))

    def taken(self) -> list[str]:
        taken, self.calls[:] = [*self.calls], []
        return taken


@pytest.fixture
def around() -> Iterator[AroundBarriers]:
    around = AroundBarriers()
    yield around
    for work in around.works:
        work.close()  # what a test does not run


def test_a_barrier_leaves_behind_everything_that_the_sources_have_taken(
    around: AroundBarriers,
) -> None:
    around.barriers.checkpoint(FIRST)
    assert around.taken() == [
        "share hold",
        "engine hold_sources",
        "engine flush",
        f"mesh send_barrier {E1}, {FIRST}, {EDGE}",
    ]


def test_a_worker_freezes_what_it_holds_once_the_barrier_came_from_all_others(
    around: AroundBarriers,
) -> None:
    around.barriers.checkpoint(FIRST)
    around.taken()
    around.barrier_of(A, FIRST)
    calls = around.taken()
    assert calls[0] == f"inbox hold_back a, {EDGE}, {FIRST}", "what a sends now is behind it"
    frozen = calls.index(f"share freeze {FIRST}")
    assert "engine release_sources" not in calls[:frozen]
    assert calls[frozen:] == [
        f"share freeze {FIRST}",
        "engine save_with",
        f"inbox release {FIRST}",
        "engine release_sources",
        "engine schedule",
        "share resume",
    ]


def test_the_order_may_come_after_the_barriers_of_others(around: AroundBarriers) -> None:
    around.barrier_of(A, FIRST)
    assert f"share freeze {FIRST}" not in around.taken()
    around.barriers.checkpoint(FIRST)
    assert f"share freeze {FIRST}" in around.taken()


def test_a_share_counts_its_output_once_the_sinks_have_it(around: AroundBarriers) -> None:
    around.barriers.checkpoint(FIRST)
    around.barrier_of(A, FIRST)
    assert "share output_settled 1" not in around.taken()
    around.run()
    assert "share output_settled 1" in around.taken()


def test_a_share_that_is_durable_is_reported_and_whether_a_journal_was_being_replayed(
    around: AroundBarriers,
) -> None:
    vars(around.sources)["is_replayed"] = False
    around.barriers.checkpoint(FIRST)
    content = WorkerCheckpoint(ME, [], [], {}, [], {})
    around.barriers.share_saved(content)
    assert around.sent == [Saved(E1, FIRST, content.to_wire(), False)]


def test_a_share_that_cannot_be_saved_is_reported_with_the_remedy(around: AroundBarriers) -> None:
    around.barriers.checkpoint(FIRST)
    around.barriers.share_failed(StoreError("the disk is full", "free some of it"))
    assert around.sent == [NotSaved(E1, FIRST, "the disk is full", "free some of it")]


def test_if_a_source_cannot_say_where_it_is_no_barrier_leaves(around: AroundBarriers) -> None:
    around.positions = StateObjectError("the generator cannot be pickled")
    around.barriers.checkpoint(FIRST)
    (frame,) = around.sent
    assert isinstance(frame, NotSaved)
    assert not [call for call in around.taken() if call.startswith("mesh")]


# What becomes of it


def test_an_abandoned_barrier_sets_free_what_waits_and_comes_too_late_afterwards(
    around: AroundBarriers,
) -> None:
    around.barriers.checkpoint(FIRST)
    around.taken()
    around.barriers.abandon(FIRST)
    calls = around.taken()
    assert "share abandon" in calls
    assert "engine release_sources" in calls
    around.barrier_of(A, FIRST)
    assert around.taken() == [], "nothing waits for a barrier that nobody waits for"
    around.barrier_of(A, SECOND)
    assert around.taken() == [f"inbox hold_back a, {EDGE}, {SECOND}"]


def test_a_committed_checkpoint_lets_output_be_seen_and_journals_be_cut(
    around: AroundBarriers,
) -> None:
    around.barriers.committed(Committed(E1, FIRST, 5, 3, True))
    calls = around.taken()
    assert calls == [
        "share committed",
        f"sinks committed {FIRST}",
        "journal committed 5, 3",
        "splits committed",
        "senders read_on",
    ]
    around.run()
    assert around.taken() == ["share compact"]


def test_connections_wait_for_a_checkpoint_that_was_taken_behind_all_replays(
    around: AroundBarriers,
) -> None:
    around.barriers.committed(Committed(E1, FIRST, 5, 3, False))
    assert "senders read_on" not in around.taken()


def test_a_journal_that_cannot_be_cut_is_told_of_once(around: AroundBarriers) -> None:

    def refuse(*_: int) -> None:
        raise StoreError("cannot cut")

    vars(around.journal)["committed"] = refuse
    for _ in range(3):
        around.barriers.committed(Committed(E1, FIRST, 5, 3, False))
    (warned,) = around.warned
    assert "cannot cut" in warned


# Parts


def stored(around: AroundBarriers, name: str, data: bytes) -> WallarooError | None:
    """Have a part stored; return the error that the share hears of."""
    around.barriers.part_written(name, data)
    around.run()
    ((part, error),) = around.saving.stored
    assert part == name
    return error


def test_a_part_is_put_into_the_store(around: AroundBarriers) -> None:
    assert stored(around, "parts/1", b"data") is None
    assert around.store.objects == {"parts/1": b"data"}


def test_a_part_that_an_attempt_before_had_stored_counts(around: AroundBarriers) -> None:
    around.store.objects["parts/1"] = b"data"
    assert stored(around, "parts/1", b"data") is None


def test_a_part_never_takes_the_place_of_another_one(around: AroundBarriers) -> None:
    around.store.objects["parts/1"] = b"of the run that goes on"
    assert isinstance(stored(around, "parts/1", b"data"), AlreadyExistsError)
    assert around.store.objects == {"parts/1": b"of the run that goes on"}


def test_a_store_that_refuses_a_part_fails_the_share(around: AroundBarriers) -> None:
    around.store.problem = StoreError("away")
    assert stored(around, "parts/1", b"data") is around.store.problem


# Barriers that save nothing


def test_a_barrier_that_holds_keeps_the_sources_until_it_is_let_go(around: AroundBarriers) -> None:
    held: list[str] = []
    around.barriers.hold(FIRST, lambda: held.append("through"))
    around.barrier_of(A, FIRST)
    assert held == ["through"]
    calls = around.taken()
    assert "engine hold_sources" in calls
    assert "engine release_sources" not in calls
    around.barriers.release_hold(FIRST)
    assert around.taken()[:2] == [f"inbox release {FIRST}", "engine release_sources"]


def test_a_hold_that_was_called_off_is_not_through_any_more(around: AroundBarriers) -> None:
    held: list[str] = []
    around.barriers.hold(FIRST, lambda: held.append("through"))
    around.barriers.release_hold(FIRST)
    around.barrier_of(A, FIRST)
    assert held == []


def test_a_drain_without_checkpoints_waits_for_the_barriers_of_all_and_for_the_sinks() -> None:
    worker = WorkerByHand().running(A)
    assert worker.order(Drain(E1, FIRST)) == []
    assert worker.carried_to(A) == [Barrier(1, E1, FIRST, EDGE)]
    worker.sink.are_flushed.set()
    assert worker.pass_time() == [], "a may still send records"
    assert worker.comes_from(A, Barrier(1, E1, FIRST, EDGE)) == [Drained(E1, FIRST, E1, {})]
