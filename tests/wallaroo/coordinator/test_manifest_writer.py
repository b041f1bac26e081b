"""Where a run begins: which checkpoint, in which epoch, and which ones it refuses."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

import wallaroo
from tests.graphs import BY_SEVEN, compiled, partitioned, source, state
from tests.wallaroo.checkpoint.states_of_old import (
    NAME,
    Parts,
    attributes,
    plan_of,
    totals_class,
)
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.lost_input import NeededInput
from wallaroo.checkpoint.manifest import (
    JournalPosition,
    Manifest,
    OutboxBatch,
    PartRef,
    Prepared,
    StagedOutput,
    WorkerCheckpoint,
    encode_manifest,
    manifest_name,
)
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.connectors.file import StagedPart
from wallaroo.coordinator.events import (
    Announce,
    ManifestWritten,
    SettleManifest,
    WriteManifest,
)
from wallaroo.coordinator.manifest_writer import (
    CheckpointPorts,
    ManifestWriter,
    Rules,
    StartingPoint,
)
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.errors import ClusterError, ConfigError, FencedError, StateObjectError
from wallaroo.names import CheckpointId, Epoch, SinkId, WorkerName
from wallaroo.runtime.held import Held
from wallaroo.topology.plan import Application
from wallaroo_workers.storage.store import Store, open_store

A, B = WorkerName("a"), WorkerName("b")
BARRIER_9 = CheckpointId(9)
TOKENS: Iterator[int] = count()
PLAN = application().to_sink(tcp_sink()).build()
NOTHING_SAVED = WorkerCheckpoint(A, [], [], {}, [], {})


async def at_once(_: float) -> None:
    return


async def no_output(_sink: int, _length: int, _parts: Sequence[StagedPart]) -> None:
    return


async def no_stage(_sink: int, _stage: str) -> None:
    return


def quietly(_event: str, _values: dict[str, Any]) -> None:
    return


def log_of(store: Store) -> ManifestLog:
    return ManifestLog(store, at_once, lambda: str(next(TOKENS)))


class Found:
    location = "/journals"

    def __init__(self, extents: Sequence[JournalExtent]) -> None:
        self._extents = [*extents]

    def extents(self) -> list[JournalExtent]:
        return self._extents


def ports_of(
    store: Store,
    *,
    journal_epochs: Sequence[int] = (),
    journals: Sequence[JournalExtent] = (),
    announce: Callable[[Announce], None] = lambda _: None,
    warn: Callable[[str, dict[str, Any]], None] = quietly,
    info: Callable[[str, dict[str, Any]], None] = quietly,
) -> CheckpointPorts:
    return CheckpointPorts(
        log=log_of(store),
        journal_epochs=lambda: [*journal_epochs],
        commit_output=no_output,
        discard_output=no_stage,
        output_path=str,
        pause=at_once,
        clock=lambda: 0.0,
        wall_clock=lambda: 0.0,
        info=info,
        warn=warn,
        journals=Found(journals),
        announce=announce,
    )


async def begun(
    store: Store,
    *,
    journal_epochs: Sequence[int] = (),
    journals: Sequence[JournalExtent] = (),
    announce: Callable[[Announce], None] = lambda _: None,
    are_all_here: bool = True,
    warn: Callable[[str, dict[str, Any]], None] = quietly,
    info: Callable[[str, dict[str, Any]], None] = quietly,
    plan: Application = PLAN,
    workers: tuple[WorkerName, ...] = (A,),
    **rules: Any,
) -> tuple[ManifestWriter, StartingPoint]:
    """Begin a run with these checkpoints."""
    place = ports_of(
        store,
        journal_epochs=journal_epochs,
        journals=journals,
        announce=announce,
        warn=warn,
        info=info,
    )
    run = ManifestWriter(Rules(**rules), place, plan, workers)
    run.formed(workers, Epoch(0), are_all_here=are_all_here)
    return run, await run.begin()


async def commit(
    run: ManifestWriter, beginning: StartingPoint, share: WorkerCheckpoint = NOTHING_SAVED
) -> int:
    """Take a checkpoint; return its number."""
    run.round_started()
    order = WriteManifest(CheckpointId(99), beginning.epoch, {A: share.to_wire()})
    answer = await run.write(order)
    assert isinstance(answer, ManifestWritten)
    return answer.number


@pytest.fixture
def store() -> Store:
    return open_store("memory://")


async def manifests(store: Store) -> list[Manifest]:
    log = log_of(store)
    return [await log.load(number) for number in await log.numbers()]


def with_outbox(*cuts: int) -> WorkerCheckpoint:
    batches = [
        OutboxBatch(0, A, f"parts/{cut}", index, 1, 9, CheckpointId(cut))
        for index, cut in enumerate(cuts, start=1)
    ]
    return replace(NOTHING_SAVED, outbox=batches)


async def test_a_manifest_says_which_cuts_are_to_be_delivered_and_so_does_the_next_start(
    store: Store,
) -> None:
    run, first = await begun(store)
    assert (first.outbox_cuts, bool(first.lineage)) == ((), True)
    order = WriteManifest(CheckpointId(9), first.epoch, {A: with_outbox(9, 7, 9).to_wire()})
    answer = await run.write(order)
    assert isinstance(answer, ManifestWritten)
    assert answer.cuts == (7, 9)
    _, second = await begun(store)
    assert second.outbox_cuts == (7, 9)
    assert second.lineage == first.lineage


async def test_states_behind_one_key_go_on_with_one_assignment(store: Store) -> None:
    """Also a state that is new, and one that had partitions of its own before."""
    b, c = WorkerName("b"), WorkerName("c")
    apart = compiled(source("p", state("one", BY_SEVEN), partitioned("two", BY_SEVEN)))
    run, first = await begun(store, plan=apart, workers=(A, b))
    await commit(run, first)
    one, two = first.maps
    assert one.owners != two.owners
    together = compiled(source("p", state("one", BY_SEVEN), state("two"), state("three")))
    _, second = await begun(store, plan=together, workers=(A, b, c), allow_dropped_state=True)
    assert [each.owners for each in second.maps] == [one.rebalance((A, b, c)).owners] * 3
    assert [each.state for each in second.maps] == ["one", "two", "three"]


async def test_a_checkpoint_with_another_number_of_partitions_goes_on_with_the_new_one(
    store: Store,
) -> None:
    plan = compiled(source("p", state("one", BY_SEVEN)))
    run, first = await begun(store, plan=plan)
    await commit(run, first)
    told: dict[str, dict[str, Any]] = {}
    more = plan.with_partitions(4096)
    _, second = await begun(store, plan=more, info=told.__setitem__)
    assert [each.hashed_partition_count for each in second.maps] == [4096]
    assert told["state.repartitioned"]["before"] == 1024
    assert told["state.repartitioned"]["partition_count"] == 4096


async def test_another_number_of_partitions_does_not_hide_what_else_differs(store: Store) -> None:
    run, first = await begun(store, plan=compiled(source("p", state("one", BY_SEVEN))))
    await commit(run, first)
    other = compiled(source("p", state("one", BY_SEVEN), state("two"))).with_partitions(64)
    with pytest.raises(ConfigError, match=r"the plans differ: .*'two'"):
        await begun(store, plan=other)


async def test_a_settled_checkpoint_is_the_last_one_without_anything_to_deliver(
    store: Store,
) -> None:
    run, first = await begun(store)
    number = await commit(run, first, with_outbox(9))
    answer = await run.settle(SettleManifest(CheckpointId(10), first.epoch))
    assert isinstance(answer, ManifestWritten)
    assert (answer.number, answer.cuts) == (number + 1, ())
    *_, before, settled = await manifests(store)
    assert settled == replace(
        before, number=CheckpointId(number + 1), base=number, workers={A: NOTHING_SAVED}
    )
    _, second = await begun(store)
    assert second.outbox_cuts == ()


async def test_a_checkpoint_that_names_prepared_work_says_so_until_it_is_settled(
    store: Store,
) -> None:
    run, first = await begun(store)
    prepared = replace(NOTHING_SAVED, prepared=[Prepared(SinkId(0), b"token", CheckpointId(9))])
    order = WriteManifest(CheckpointId(9), first.epoch, {A: prepared.to_wire()})
    answer = await run.write(order)
    assert isinstance(answer, ManifestWritten)
    assert answer.has_prepared
    settled = await run.settle(SettleManifest(CheckpointId(10), first.epoch))
    assert isinstance(settled, ManifestWritten)
    assert not settled.has_prepared
    *_, last = await manifests(store)
    assert last.workers == {A: NOTHING_SAVED}


async def test_results_of_a_sink_that_was_dropped_are_reported(store: Store) -> None:
    run, first = await begun(store)
    await commit(run, first, with_outbox(9, 9))
    warned: dict[str, dict[str, Any]] = {}
    plan = application().to_sinks([tcp_sink(), tcp_sink()]).build()
    await begun(store, plan=plan, warn=warned.__setitem__, allow_dropped_state=True)
    assert warned["sink.results_dropped"]["sinks"] == [0]
    assert warned["sink.results_dropped"]["record_count"] == 2


async def test_an_epoch_is_above_that_of_the_last_run_also_behind_an_older_checkpoint(
    store: Store,
) -> None:
    run, first = await begun(store)
    number = await commit(run, first)
    run, second = await begun(store)
    await commit(run, second)
    _, third = await begun(store, from_checkpoint=number)
    assert [first.epoch, second.epoch, third.epoch] == [1, 2, 3]


async def test_an_epoch_is_above_that_of_journals_of_which_no_checkpoint_knows(
    store: Store,
) -> None:
    run, first = await begun(store)
    await commit(run, first)
    _, second = await begun(store, journal_epochs=[1, 8])
    assert second.epoch == 9


async def test_a_run_begins_with_what_another_one_commits_meanwhile_and_fences_it_off(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, beginning = await begun(store)
    claim = ManifestLog.claim
    commits = 3

    async def claim_late(self: ManifestLog, *arguments: Any) -> Manifest:
        nonlocal commits
        if commits:
            commits -= 1
            await commit(first, beginning)
        return await claim(self, *arguments)

    monkeypatch.setattr(ManifestLog, "claim", claim_late)
    await begun(store)
    found = [(each.number, each.base, each.is_claim) for each in await manifests(store)]
    assert found[-2:] == [(4, 3, False), (5, 4, True)]
    with pytest.raises(FencedError):
        await commit(first, beginning)


async def test_of_two_runs_that_begin_at_the_same_time_one_gives_way(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, beginning = await begun(store)
    await commit(first, beginning)
    claim = ManifestLog.claim

    async def claim_second(self: ManifestLog, *arguments: Any) -> Manifest:
        await claim(log_of(store), *arguments)
        return await claim(self, *arguments)

    monkeypatch.setattr(ManifestLog, "claim", claim_second)
    with pytest.raises(FencedError):
        await begun(store)


@pytest.mark.parametrize(
    "share",
    [
        replace(NOTHING_SAVED, parts=[PartRef("parts/0000000009/a-1-0-0", BARRIER_9, 0, 9, 1)]),
        replace(NOTHING_SAVED, gave_at=BARRIER_9),
        replace(NOTHING_SAVED, staged=[StagedOutput(0, "a-1-1", 9, cut=BARRIER_9)]),
    ],
    ids=["part", "keys given away", "staged output"],
)
async def test_barriers_of_a_run_are_above_those_of_the_last_one(
    store: Store, share: WorkerCheckpoint
) -> None:
    # Else keys given away would come again from a part that looks newer than the giving.
    run, beginning = await begun(store)
    assert beginning.last_barrier == beginning.manifest == 1
    await commit(run, beginning, share)
    _, beginning = await begun(store)
    assert (beginning.manifest, beginning.last_barrier) == (3, 9)


async def test_each_manifest_names_the_one_that_it_follows(store: Store) -> None:
    run, beginning = await begun(store)
    number = await commit(run, beginning)
    await commit(run, beginning)
    await begun(store, from_checkpoint=number)
    found = [(each.number, each.base, each.is_claim) for each in await manifests(store)]
    assert found == [(2, 1, False), (3, 2, False), (4, 2, True)]


async def test_a_checkpoint_that_was_given_up_is_refused_with_those_to_choose_from(
    store: Store,
) -> None:
    run, beginning = await begun(store)
    older = await commit(run, beginning)
    given_up = await commit(run, beginning)
    await begun(store, from_checkpoint=older)
    with pytest.raises(ConfigError, match=f"checkpoint {given_up} was given up when") as caught:
        await begun(store, from_checkpoint=given_up)
    assert caught.value.hint == "choose one of 2, 4"
    await begun(store, from_checkpoint=older)


async def store_of_old(monkeypatch: pytest.MonkeyPatch, store: Store, **shown: Any) -> Parts:
    """Put a checkpoint with two totals into the store."""
    kind = totals_class(monkeypatch, __init__=attributes(count=0))
    parts = Parts()
    parts.add({"a": kind(), "b": kind()})
    for name, data in parts.by_name.items():
        await store.create(name, data)
    manifest = replace(parts.manifest(plan_of(kind), **shown), number=CheckpointId(1))
    await store.create(manifest_name(1), encode_manifest(manifest))
    return parts


class Renamed:
    def __init__(self) -> None:
        self.count = 0


async def test_a_state_of_another_class_is_for_the_upgrade_gate_to_refuse(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_of_old(monkeypatch, store)
    plan = plan_of(Renamed)
    with pytest.raises(StateObjectError, match=r"its class was .*Totals and is .*Renamed"):
        await begun(store, plan=plan)
    assert [each.number for each in await manifests(store)] == [1]
    state = replace(plan.states[NAME], upgrade=lambda _: Renamed())
    run, beginning = await begun(store, plan=replace(plan, states={NAME: state}))
    # The claim still has the old objects, what is committed next has new ones.
    assert "Totals" in run.latest.shapes[NAME].kind
    await commit(run, beginning)
    assert "Renamed" in run.latest.shapes[NAME].kind


async def test_a_state_of_another_class_is_refused_if_no_shape_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_of_old(monkeypatch, store, has_shapes=False)
    with pytest.raises(StateObjectError, match=r"its class was .*\.Totals and is .*\.Renamed"):
        await begun(store, plan=plan_of(Renamed))


async def test_a_changed_class_passes_if_that_is_allowed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_of_old(monkeypatch, store)
    changed = plan_of(totals_class(monkeypatch, __init__=attributes(count=0, mean=0)))
    with pytest.raises(StateObjectError, match="a new Totals has mean"):
        await begun(store, plan=changed)
    reported: list[str] = []
    await begun(
        store,
        plan=changed,
        allow_changed_state=True,
        warn=lambda event, _: reported.append(event),
    )
    assert reported == ["state.changed"]


async def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(store: Store) -> None:
    run, beginning = await begun(store)
    await commit(run, beginning)
    with pytest.raises(ConfigError, match="there is no checkpoint 7") as caught:
        await begun(store, from_checkpoint=7)
    assert caught.value.hint.startswith("there are 2; ")


async def test_behind_a_damaged_checkpoint_it_is_told_once_that_old_ones_stay(
    store: Store,
) -> None:
    first, beginning = await begun(store)
    good = await commit(first, beginning)
    bad = manifest_name(await commit(first, beginning))
    await store.delete([bad])
    await store.create(bad, b"GIF89a, and certainly nothing of ours")
    reported: list[str] = []

    def warn(event: str, values: dict[str, Any]) -> None:
        assert bad in values["reason"]
        reported.append(event)

    run, beginning = await begun(store, warn=warn, keep=4, from_checkpoint=good)
    for _ in range(3):
        await commit(run, beginning)
    assert reported == ["checkpoint.prune_failed"]
    # As many as are kept now stand before it.
    await commit(run, beginning)
    assert bad not in [name for name, _ in await store.list("manifests")]


# Journals that are missing


OF_A, NEWER_OF_A = "a-0000000001", "a-0000000002"


def share_with(*journals: JournalPosition) -> WorkerCheckpoint:
    return replace(NOTHING_SAVED, journals=[*journals])


async def test_a_start_without_a_journal_is_refused_before_it_claims_anything(
    store: Store,
) -> None:
    run, beginning = await begun(store)
    number = await commit(run, beginning, share_with(JournalPosition(OF_A, 500, {})))
    reported: list[Announce] = []
    with pytest.raises(ClusterError, match=f"/journals/{OF_A}: .* from offset 500 on is missing"):
        await begun(store, announce=reported.append)
    assert [(line.event, line.is_error) for line in reported] == [("journals.lost", True)]
    assert max(await log_of(store).numbers()) == number
    there = [JournalExtent(OF_A, 0, 0, 500)]
    _, beginning = await begun(store, journals=there)
    assert beginning.needed_input == NeededInput(number, (JournalPosition(OF_A, 500, {}),))


@pytest.mark.parametrize("chosen", [{"allow_lost_input": True}, {"are_all_here": False}])
async def test_the_coordinator_decides_if_it_may_be_lost_or_elsewhere(
    store: Store, chosen: dict[str, Any]
) -> None:
    run, beginning = await begun(store)
    await commit(run, beginning, share_with(JournalPosition(OF_A, 500, {})))
    _, beginning = await begun(store, **chosen)
    assert beginning.needed_input is not None


async def test_an_older_checkpoint_needs_the_journals_that_newer_ones_name(store: Store) -> None:
    run, beginning = await begun(store)
    first = await commit(run, beginning, share_with(JournalPosition(OF_A, 500, {})))
    newer = JournalPosition(NEWER_OF_A, 90, {})
    await commit(run, beginning, share_with(JournalPosition(OF_A, 700, {}), newer))
    there = [JournalExtent(OF_A, 0, 0, 700), JournalExtent(NEWER_OF_A, 0, 0, 90)]
    _, beginning = await begun(store, journals=there, from_checkpoint=first)
    assert beginning.needed_input == NeededInput(
        first, (JournalPosition(OF_A, 500, {}), JournalPosition(NEWER_OF_A, 0, {}))
    )
    with pytest.raises(ClusterError, match=NEWER_OF_A):
        await begun(store, journals=there[:1], from_checkpoint=first)


@pytest.mark.parametrize(
    ("workers", "extents", "needed"),
    [
        ((A,), [], []),  # It is a worker of the initializer itself.
        ((B,), [], [A]),
        ((B,), [JournalExtent(OF_A, 0, 0, 500)], []),
    ],
)
async def test_a_start_needs_the_hosts_of_members_whose_journals_it_does_not_reach(
    store: Store,
    workers: tuple[WorkerName, ...],
    extents: list[JournalExtent],
    needed: list[WorkerName],
) -> None:
    run, beginning = await begun(store)
    await commit(run, beginning, share_with(JournalPosition(OF_A, 500, {})))
    later = ManifestWriter(Rules(), ports_of(store, journals=extents), PLAN, workers)
    assert await later.members() == MembersBefore([A], needed)


def asking(*, is_there: bool) -> Application:
    """Return an application with an asynchronous step, or the same without it."""

    @wallaroo.computation_async("ask")
    async def ask(record: str) -> str:
        return record

    before = application()
    return (before.to(ask) if is_there else before).to_sink(tcp_sink()).build()


async def with_held_records(store: Store) -> None:
    """Leave a checkpoint whose step "ask" has three records, and had others before."""
    run, first = await begun(store, plan=asking(is_there=True))
    parts = Parts()
    parts.add({"a/0": [Held(None, "x", None)] * 9, "a/1": [Held(None, "x", None)] * 9})
    parts.add({"a/0": [Held(None, "y", None), Held(None, "z", None)], "a/1": None})
    parts.add({"a/2": [Held(None, "z", None)]})
    for name, data in parts.by_name.items():
        await store.create(name, data)
    await commit(run, first, replace(NOTHING_SAVED, parts=parts.refs))


async def test_records_that_wait_at_a_removed_step_are_counted(store: Store) -> None:
    await with_held_records(store)
    warned: dict[str, dict[str, Any]] = {}
    plan = asking(is_there=False)
    await begun(store, plan=plan, warn=warned.__setitem__, allow_dropped_state=True)
    facts = warned["step.records_dropped"]
    assert (facts["step"], facts["record_count"]) == ("ask", 3)


async def test_records_that_wait_at_a_removed_step_are_kept_unless_states_may_be_dropped(
    store: Store,
) -> None:
    await with_held_records(store)
    with pytest.raises(ConfigError, match="of another application") as caught:
        await begun(store, plan=asking(is_there=False))
    assert "--allow-dropped-state" in caught.value.hint


async def test_nothing_is_said_of_a_removed_step_at_which_no_record_waited(store: Store) -> None:
    run, first = await begun(store, plan=asking(is_there=True))
    await commit(run, first)
    warned: dict[str, dict[str, Any]] = {}
    plan = asking(is_there=False)
    await begun(store, plan=plan, warn=warned.__setitem__, allow_dropped_state=True)
    assert "step.records_dropped" not in warned
