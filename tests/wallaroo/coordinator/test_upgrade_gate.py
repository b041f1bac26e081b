"""What a start says to a state whose class has changed since its checkpoint."""

import collections
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.wallaroo.checkpoint import states_of_old
from tests.wallaroo.checkpoint.states_of_old import (
    NAME,
    Boom,
    Parts,
    attributes,
    plan_of,
    totals_class,
)
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.coordinator.upgrade_gate import UpgradeGate
from wallaroo.errors import StateObjectError
from wallaroo.topology.plan import Application


class Gate:
    """The gate of a new run, behind which an old one has left a checkpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts = Parts()
        self.monkeypatch = monkeypatch
        self.reported: list[tuple[str, dict[str, Any]]] = []

    def old_run(self, create: Any, *, has_shapes: bool = True) -> Manifest:
        """Return the checkpoint of a run, for which it made three objects."""
        self.parts.add({key: create() for key in "abc"})
        return self.parts.manifest(plan_of(create), has_shapes=has_shapes)

    def totals(self, **values: Any) -> Any:
        """Return the class that is called ``Totals`` from now on."""
        return totals_class(self.monkeypatch, __init__=attributes(**values))

    async def check(self, base: Manifest, plan: Application, *, may_change: bool = False) -> None:
        def report(event: str, values: dict[str, Any]) -> None:
            self.reported.append((event, values))

        gate = UpgradeGate(plan, fresh_shapes(plan), self.parts, report, report)
        await gate.check(base, may_change=may_change)

    async def refusal(self, base: Manifest, create: Callable[[], Any]) -> StateObjectError:
        with pytest.raises(StateObjectError) as caught:
            await self.check(base, plan_of(create))
        assert caught.value.exit_code == 1
        assert self.reported == []
        return caught.value


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def test_a_state_that_has_not_changed_passes_without_a_look_at_its_objects(
    gate: Gate,
) -> None:
    base = gate.old_run(gate.totals(count=0))
    gate.parts.by_name.clear()
    await gate.check(base, plan_of(gate.totals(count=5)))
    assert gate.reported == []


async def test_attributes_that_user_code_adds_later_are_no_change(gate: Gate) -> None:
    kind = gate.totals(count=0)
    value = kind()
    value.later = 1
    gate.parts.add({"d": value})
    await gate.check(gate.old_run(kind), plan_of(kind))
    assert gate.reported == []


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ({"count": 0, "sum": 0, "mean": 0.0}, "a new Totals has mean, which was not there"),
        ({"count": 0}, "a Totals had sum, which is gone"),
        (
            {"count": 0, "total": 0},
            "a new Totals has total, which was not there and a Totals had sum, which is gone",
        ),
        (
            {"count": 0, "sum": {"of": 1}},
            "a new Totals has sum['of'], which was not there",
        ),
    ],
    ids=["new", "gone", "renamed", "nested"],
)
async def test_a_changed_class_is_refused_with_state_class_and_attribute(
    gate: Gate, now: dict[str, Any], change: str
) -> None:
    base = gate.old_run(gate.totals(count=0, sum=0))
    error = await gate.refusal(base, gate.totals(**now))
    assert error.what == f"state 'totals' has changed since checkpoint 7: {change}"
    for way_out in ("@wallaroo.upgrade_state('totals')", "__setstate__", "--allow-changed-state"):
        assert way_out in error.hint


async def test_the_keys_of_a_dictionary_are_its_fields(gate: Gate) -> None:
    base = gate.old_run(lambda: {"n": 0})
    error = await gate.refusal(base, lambda: {"n": 0, "mean": 0.0})
    assert "a new dict has ['mean'], which was not there" in error.what


async def test_another_class_is_refused(gate: Gate) -> None:
    error = await gate.refusal(gate.old_run(gate.totals(count=0)), dict)
    assert f"its class was {states_of_old.__name__}.Totals and is builtins.dict" in error.what


async def test_a_state_without_keys_may_be_anything(gate: Gate) -> None:
    base = gate.parts.manifest(plan_of(gate.totals(count=0)))
    await gate.check(base, plan_of(gate.totals(mean=0)))


async def test_an_upgrade_function_is_a_way_out(gate: Gate) -> None:
    base = gate.old_run(gate.totals(count=0))
    plan = plan_of(gate.totals(count=0, mean=0))
    state = replace(plan.states[NAME], upgrade=lambda old: old)
    await gate.check(base, replace(plan, states={NAME: state}))
    ((event, facts),) = gate.reported
    assert event == "state.upgrading"
    assert facts["change"] == "a new Totals has mean, which was not there"


async def test_the_option_is_a_way_out_and_the_change_is_reported(gate: Gate) -> None:
    base = gate.old_run(gate.totals(count=0))
    await gate.check(base, plan_of(gate.totals(count=0, mean=0)), may_change=True)
    ((event, facts),) = gate.reported
    assert (event, facts["state"], facts["checkpoint"]) == ("state.changed", "totals", 7)


@pytest.mark.parametrize("does_it", [True, False])
async def test_a_setstate_is_a_way_out_if_it_makes_old_objects_what_new_ones_are(
    gate: Gate, *, does_it: bool
) -> None:
    def set_state(self: Any, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if does_it:
            self.mean = self.count

    base = gate.old_run(gate.totals(count=0))
    init = attributes(count=0, mean=0)
    new = totals_class(gate.monkeypatch, __init__=init, __setstate__=set_state)
    if does_it:
        await gate.check(base, plan_of(new))
        assert [event for event, _ in gate.reported] == ["state.upgrading"]
    else:
        error = await gate.refusal(base, new)
        assert error.what.endswith("; an object restored from it has no mean")


async def test_a_setstate_that_fails_for_old_objects_is_not_a_way_out(gate: Gate) -> None:
    def set_state(_self: Any, state: dict[str, Any]) -> None:
        raise KeyError("mean")

    base = gate.old_run(gate.totals(count=0))
    init = attributes(count=0, mean=0)
    new = totals_class(gate.monkeypatch, __init__=init, __setstate__=set_state)
    error = await gate.refusal(base, new)
    assert error.what.endswith("; an object restored from it cannot be unpickled: KeyError: 'mean'")


# Checkpoints of releases that did not write what fresh objects looked like


async def test_an_older_checkpoint_passes_if_its_objects_can_be_read(gate: Gate) -> None:
    base = gate.old_run(gate.totals(count=0), has_shapes=False)
    await gate.check(base, plan_of(gate.totals(count=0, mean=0)))


async def test_an_older_checkpoint_of_a_missing_class_is_refused(gate: Gate) -> None:
    base = gate.old_run(gate.totals(count=0), has_shapes=False)
    gate.monkeypatch.delitem(vars(states_of_old), "Totals")
    error = await gate.refusal(base, dict)
    assert "its objects cannot be unpickled: AttributeError: " in error.what
    assert "Totals" in error.what


async def test_single_objects_of_an_older_checkpoint_that_cannot_be_read_are_for_the_restore(
    gate: Gate,
) -> None:
    gate.parts.add({"a": Boom(), "b": {}})
    base = gate.parts.manifest(plan_of(dict), has_shapes=False)
    await gate.check(base, plan_of(dict))


def test_a_class_that_fails_here_has_no_shape() -> None:
    def fails() -> None:
        raise SystemExit(3)

    assert fresh_shapes(plan_of(fails)) == {}


async def test_a_class_that_is_still_found_under_its_old_name_may_be_renamed(gate: Gate) -> None:
    base = gate.old_run(gate.totals(count=0))
    renamed = type("Sums", (), {"__module__": __name__, "__init__": attributes(count=0)})
    gate.monkeypatch.setattr(states_of_old, "Totals", renamed)
    gate.monkeypatch.setitem(globals(), "Sums", renamed)
    await gate.check(base, plan_of(renamed))
    assert [event for event, _ in gate.reported] == ["state.upgrading"]


class Inner:
    pass


class OtherInner:
    pass


async def test_another_class_of_what_is_inside_is_a_change(gate: Gate) -> None:
    base = gate.old_run(gate.totals(inner=Inner()))
    error = await gate.refusal(base, gate.totals(inner=OtherInner()))
    assert f"a new Totals has inner: {__name__}.OtherInner, which was not there" in error.what
    assert f"an object restored from it still has inner: {__name__}.Inner" in error.what


async def test_slots_that_a_setstate_leaves_empty_are_missing(gate: Gate) -> None:
    def setstate(self: Any, _state: Any) -> None:
        self.count = 3

    base = gate.old_run(totals_class(gate.monkeypatch, __slots__=("count",), __init__=slots))
    names = {"__slots__": ("count", "mean"), "__init__": slots, "__setstate__": setstate}
    error = await gate.refusal(base, totals_class(gate.monkeypatch, **names))
    assert error.what.endswith("an object restored from it has no mean")


def slots(self: Any) -> None:
    for name in self.__slots__:
        setattr(self, name, 0)


@pytest.mark.parametrize("form", ["named tuple", "frozen dataclass"])
async def test_fields_without_names_in_the_pickle_must_keep_their_order(
    gate: Gate, form: str
) -> None:
    def totals(*names: str) -> Any:
        fields = [(name, int, 0) for name in names]
        kind: Any = dataclasses.make_dataclass("Totals", fields, frozen=True, slots=True)
        if form == "named tuple":
            make: Any = collections.namedtuple
            kind = make("Totals", names, defaults=[0] * len(names))
        kind.__module__ = states_of_old.__name__
        gate.monkeypatch.setitem(vars(states_of_old), "Totals", kind)
        return kind

    base = gate.old_run(totals("count", "sum"))
    await gate.check(base, plan_of(totals("count", "sum")))
    error = await gate.refusal(base, totals("sum", "count"))
    assert "a new Totals has (sum, count) in this order, which was not there" in error.what
    error = await gate.refusal(base, totals("count", "sum", "mean"))
    assert error.what.endswith("a new Totals has mean, which was not there")


async def test_without_shapes_the_class_of_the_objects_themselves_counts(gate: Gate) -> None:
    base = gate.old_run(Inner, has_shapes=False)
    await gate.check(base, plan_of(Inner))
    await gate.check(base, plan_of(lambda: Inner()))
    error = await gate.refusal(base, OtherInner)
    assert f"its class was {__name__}.Inner and is {__name__}.OtherInner" in error.what
    await gate.check(base, plan_of(OtherInner), may_change=True)
