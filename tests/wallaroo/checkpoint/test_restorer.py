"""A restore reads what can be read, names the keys that cannot, and upgrades old objects."""

import types
from dataclasses import replace
from typing import Any

import pytest

from tests.wallaroo.checkpoint.states_of_old import (
    ME,
    NAME,
    Boom,
    Parts,
    attributes,
    plan_of,
    totals_class,
)
from wallaroo.checkpoint.manifest import Manifest, WorkerCheckpoint
from wallaroo.checkpoint.restorer import Restored, Restorer, unreadable_error
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition, to_share
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.names import WorkerName
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.topology.plan import Application


async def at_once(_: float) -> None: ...


async def restored(
    parts: Parts, manifest: Manifest, plan: Application, members: tuple[WorkerName, ...] = (ME,)
) -> tuple[dict[Any, Any], Restored]:
    states = {NAME: KeyedState()}
    maps = {each.state: each for each in initial_maps(plan, members)}
    restorer = Restorer(ME, plan, states, maps, fresh_shapes(plan), parts, at_once)
    found = await restorer.restore(manifest)
    return dict(states[NAME]), found


def upgrading(plan: Application, upgrade: Any) -> Application:
    return replace(plan, states={NAME: replace(plan.states[NAME], upgrade=upgrade)})


async def test_a_key_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({"a": {"n": 1}, "b": {"n": 2}}, {"c": {"n": 3}, "d": Boom(), "e": {"n": 5}})
    states, found = await restored(parts, parts.manifest(plan), plan)
    assert states == {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}, "e": {"n": 5}}
    (lost,) = found.unreadable
    assert (lost.state, lost.key) == (NAME, "d")
    assert lost.problem.startswith("ValueError: invalid literal")
    assert f"({parts.refs[0].name}, byte " in lost.problem
    # Everything is written anew, so that the next start does not meet that object again.
    assert found.parts is None


async def test_only_the_newest_object_of_a_key_counts() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({"was bad": Boom(), "is bad": {"n": 1}, "both": Boom()})
    parts.add({"was bad": {"n": 2}, "is bad": Boom(), "both": Boom()})
    states, found = await restored(parts, parts.manifest(plan), plan)
    assert states == {"was bad": {"n": 2}}
    assert {key.key for key in found.unreadable} == {"is bad", "both"}


async def test_what_is_read_whole_and_has_not_changed_keeps_its_parts() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({"a": {"n": 1}})
    _, found = await restored(parts, parts.manifest(plan), plan)
    assert found == Restored(parts.refs, {})


async def test_a_key_is_told_by_the_worker_that_owns_it_now_and_by_no_other() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({f"k{number}": Boom() for number in range(20)})
    told: list[Any] = []
    for me in ("w1", "w2"):
        states = {NAME: KeyedState()}
        members = (ME, WorkerName("w2"))
        maps = {each.state: each for each in initial_maps(plan, members)}
        shapes = fresh_shapes(plan)
        restorer = Restorer(WorkerName(me), plan, states, maps, shapes, parts, at_once)
        found = await restorer.restore(parts.manifest(plan))
        assert 0 < len(found.unreadable) < 20
        told += [key.key for key in found.unreadable]
    assert sorted(told) == sorted(f"k{number}" for number in range(20))


async def test_with_another_number_of_partitions_each_worker_finds_its_keys() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({f"k{number}": {"n": number} for number in range(200)})
    parts.add({f"k{number}": None for number in range(0, 200, 2)})
    expected = {f"k{number}": {"n": number} for number in range(1, 200, 2)}
    manifest = parts.manifest(plan)
    for count in (16, 4096):
        other, members = plan.with_partitions(count), (ME, WorkerName("w2"))
        maps = {each.state: each for each in initial_maps(other, members)}
        found: dict[Any, Any] = {}
        for me in members:
            states = {NAME: KeyedState()}
            restorer = Restorer(me, other, states, maps, fresh_shapes(other), parts, at_once)
            # All of it is written anew, in parts of its own.
            assert (await restorer.restore(manifest)).parts is None
            assert all(maps[NAME].owner_of(key) == me for key in dict(states[NAME]))
            found |= dict(states[NAME])
        assert found == expected


def test_the_error_names_a_key_and_says_what_can_be_done() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({"a": Boom(), "b": Boom(), "c": Boom()})
    work = restored(parts, parts.manifest(plan), plan)
    with pytest.raises(StopIteration) as stopped:
        work.send(None)
    error = unreadable_error(7, stopped.value.value[1].unreadable)
    assert error.what.startswith(
        "key 'a' of state 'totals' cannot be restored from checkpoint 7: ValueError: "
    )
    assert error.what.endswith("the same holds for 2 other keys of this worker")
    assert "--skip-unreadable-keys" in error.hint


# Deleted keys


async def test_a_tombstone_removes_what_older_parts_hold() -> None:
    parts, plan = Parts(), plan_of(dict)
    parts.add({"a": {"n": 1}, "b": {"n": 1}, "bad": Boom()})
    parts.add({"a": None, "never there": None, "bad": None})
    states, found = await restored(parts, parts.manifest(plan), plan)
    assert states == {"b": {"n": 1}}
    assert found.unreadable == []
    assert found.parts == parts.refs
    parts.add({"a": {"n": 3}})
    states, _ = await restored(parts, parts.manifest(plan), plan)
    assert states == {"a": {"n": 3}, "b": {"n": 1}}


async def test_a_partition_that_moved_back_has_only_what_was_written_since() -> None:
    """Its keys were deleted at the other worker meanwhile, whose parts have the tombstones."""
    parts, plan = Parts(), plan_of(dict)
    (map_,) = initial_maps(plan, (ME,))
    away = map_.partition_of("away")
    parts.add({"away": {"n": 1}, "stayed": {"n": 1}})
    parts.add({"stayed": {"n": 2}})
    barrier = parts.refs[1].checkpoint
    manifest = parts.manifest(plan)
    share = replace(manifest.workers[ME], took={NAME: {barrier: [away]}})
    manifest = replace(manifest, workers={ME: share})
    for members in ((ME,), (ME, WorkerName("w2"))):
        states, found = await restored(parts, manifest, plan, members)
        assert "away" not in states
    assert (await restored(parts, manifest, plan))[0] == {"stayed": {"n": 2}}
    parts.add({"away": {"n": 3}})
    share = replace(share, parts=parts.refs)
    states, found = await restored(parts, replace(manifest, workers={ME: share}), plan)
    assert states == {"away": {"n": 3}, "stayed": {"n": 2}}
    assert found.took == {NAME: {barrier: [away]}}


async def test_a_tombstone_does_not_remove_a_key_that_exists_again_at_its_new_owner() -> None:
    """It was deleted here just before its partition moved, and written after that."""
    parts, plan = Parts(), plan_of(dict)
    other = WorkerName("w0")
    parts.add({"moved": {"n": 2}})
    parts.add({"moved": None})
    old = parts.manifest(plan)
    shares: dict[str, WorkerCheckpoint] = {
        other: replace(old.workers[ME], worker=other, parts=parts.refs[:1]),
        ME: replace(old.workers[ME], parts=parts.refs[1:]),
    }
    (map_,) = initial_maps(plan, (other,))
    manifest = replace(old, workers=shares, partition_maps=[map_.to_wire()])
    states, _ = await restored(parts, manifest, plan)
    assert states == {"moved": {"n": 2}}


# Upgrades


class TestUpgrade:
    @pytest.fixture(autouse=True)
    def old_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run with totals that have a count and a sum."""
        old = totals_class(monkeypatch, __init__=attributes(count=0, sum=0))
        self.parts, self.old_plan = Parts(), plan_of(old)
        self.parts.add({key: self.made(old, key) for key in "abc"})
        self.manifest = self.parts.manifest(self.old_plan)
        self.monkeypatch = monkeypatch

    @staticmethod
    def made(kind: Any, key: str) -> Any:
        value = kind()
        value.sum = ord(key)
        return value

    def upgraded(self, old: Any) -> Any:
        new = self.new()
        new.total = old.sum
        return new

    def change(self, **values: Any) -> Application:
        values = values or {"count": 0, "total": 0}
        self.new = totals_class(self.monkeypatch, __init__=attributes(**values))
        return plan_of(self.new)

    async def test_each_object_is_made_anew_and_written_anew(self) -> None:
        plan = upgrading(self.change(), self.upgraded)
        states, found = await restored(self.parts, self.manifest, plan)
        assert {key: state.total for key, state in states.items()} == {"a": 97, "b": 98, "c": 99}
        assert all(type(state) is self.new for state in states.values())
        assert found.parts is None
        assert found.unreadable == []

    async def test_a_deleted_key_is_not_upgraded(self) -> None:
        self.parts.add({"a": None})
        manifest = self.parts.manifest(self.old_plan)
        states, found = await restored(
            self.parts, manifest, upgrading(self.change(), self.upgraded)
        )
        assert states.keys() == {"b", "c"}
        assert found.unreadable == []

    async def test_only_the_newest_object_of_a_key_is_upgraded_and_once(self) -> None:
        parts, seen = self.parts, []
        parts.add({"a": self.made(self.old_plan.states[NAME].create, "z")})
        manifest = parts.manifest(self.old_plan)

        def upgrade(old: Any) -> Any:
            seen.append(old.sum)
            return self.upgraded(old)

        await restored(parts, manifest, upgrading(self.change(), upgrade))
        assert sorted(seen) == [98, 99, 122]

    async def test_an_object_of_a_gone_class_comes_as_its_attributes(self) -> None:
        class Sums:
            def __init__(self) -> None:
                self.total = 0

        seen = []

        def upgrade(old: Any) -> Any:
            seen.append(isinstance(old, types.SimpleNamespace))
            new = Sums()
            new.total = old.sum
            return new

        self.monkeypatch.delitem(vars(__import__(Parts.__module__, fromlist=["Totals"])), "Totals")
        plan = upgrading(plan_of(Sums), upgrade)
        states, _ = await restored(self.parts, self.manifest, plan)
        assert seen == [True] * 3
        assert states["b"].total == 98

    async def test_without_a_change_nothing_is_upgraded(self) -> None:
        plan = upgrading(self.old_plan, lambda _: pytest.fail("upgraded"))
        _, found = await restored(self.parts, self.manifest, plan)
        assert found.parts is not None

    async def test_a_manifest_that_does_not_say_is_upgraded(self) -> None:
        plan = upgrading(self.change(), self.upgraded)
        states, _ = await restored(self.parts, replace(self.manifest, shapes={}), plan)
        assert states["c"].total == 99

    async def test_a_changed_state_without_an_upgrade_is_taken_as_it_is_and_written_anew(
        self,
    ) -> None:
        states, found = await restored(self.parts, self.manifest, self.change())
        assert vars(states["a"]) == {"count": 0, "sum": 97}
        assert found.parts is None

    @pytest.mark.parametrize(
        ("upgrade", "problem"),
        [
            (lambda old: 1 // (old.sum - 98), "its upgrade function raised ZeroDivisionError: "),
            (lambda _: None, "what its upgrade function returned is a builtins.NoneType, not a "),
            (lambda old: old, "what its upgrade function returned has no total"),
        ],
        ids=["raises", "returns nothing", "returns the old object"],
    )
    async def test_a_key_whose_upgrade_fails_is_one_that_cannot_be_read(
        self, upgrade: Any, problem: str
    ) -> None:
        plan = self.change()

        def upgrade_some(old: Any) -> Any:
            return upgrade(old) if old.sum == 98 else self.upgraded(old)

        states, found = await restored(self.parts, self.manifest, upgrading(plan, upgrade_some))
        assert sorted(states) == ["a", "c"]
        (lost,) = found.unreadable
        assert lost.key == "b"
        assert lost.problem.startswith(problem)


async def test_positions_of_splits_are_those_of_all_workers() -> None:
    parts, plan = Parts(), plan_of(dict)
    mine, others = {"a": SplitPosition(SplitKind.AT, 7)}, {"b": SplitPosition(SplitKind.NEW)}
    first = replace(parts.manifest(plan).workers[ME], sources={0: to_share(mine), 1: 40})
    second = WorkerCheckpoint(WorkerName("w2"), [], [], {0: to_share(others)}, [], {})
    manifest = replace(parts.manifest(plan), workers={ME: first, "w2": second})
    _, found = await restored(parts, manifest, plan)
    assert found.sources == {0: to_share(mine | others), 1: 40}
