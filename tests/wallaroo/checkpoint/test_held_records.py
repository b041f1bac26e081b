"""What happens to records that wait at a step in a checkpoint, once their class has changed."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.checkpoint import states_of_old
from tests.wallaroo.checkpoint.states_of_old import ME, Parts, attributes, totals_class
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.checkpoint.restorer import Restored, Restorer
from wallaroo.checkpoint.shapes import fresh_shapes, missing_attributes
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.coordinator.upgrade_gate import UpgradeGate
from wallaroo.errors import StateObjectError
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.runtime.held import Held
from wallaroo.topology.plan import Application

HELD_STATE = "ask~held"
Reports = list[tuple[str, dict[str, Any]]]


async def at_once(_: float) -> None: ...


@wallaroo.computation_async("ask")
async def ask(record: Any) -> Any:
    return record


def plan_with(upgrade: Any = None) -> Application:
    plan = application().to(ask).to_sink(tcp_sink()).build()
    state = replace(plan.states[HELD_STATE], upgrade=upgrade)
    return replace(plan, states={HELD_STATE: state})


def init_old(self: Any, cents: int) -> None:
    self.euros = cents // 100


def init_new(self: Any, cents: int) -> None:
    self.cents = cents


class Before:
    """A checkpoint with two records of a class that is called ``Totals``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts = Parts()
        kind = totals_class(monkeypatch, __init__=init_old)
        self.parts.add({"w1/0": [Held(None, kind(500), None), Held(None, kind(700), None, 1)]})
        self.manifest = self.parts.manifest(plan_with())

    async def check(self, plan: Application, *, may_change: bool = False) -> Reports:
        reports: Reports = []

        def report(event: str, values: dict[str, Any]) -> None:
            reports.append((event, values))

        gate = UpgradeGate(plan, fresh_shapes(plan), self.parts, report, report)
        await gate.check(self.manifest, may_change=may_change)
        return reports

    async def restored(self, plan: Application) -> tuple[list[Any], Restored]:
        states = {HELD_STATE: KeyedState()}
        maps = {each.state: each for each in initial_maps(plan, (ME,))}
        restorer = Restorer(ME, plan, states, maps, fresh_shapes(plan), self.parts, at_once)
        found = await restorer.restore(self.manifest)
        values: Any = dict(states[HELD_STATE].items()).values()
        return [held.record for records in values for held in records], found


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    return Before(monkeypatch)


async def test_records_of_a_class_that_has_not_changed_pass(before: Before) -> None:
    assert await before.check(plan_with()) == []


async def test_a_record_that_lacks_an_attribute_is_refused(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals_class(monkeypatch, __init__=init_new)
    with pytest.raises(StateObjectError) as caught:
        await before.check(plan_with())
    kind = f"{states_of_old.__name__}.Totals"
    assert caught.value.what == (
        f"state 'ask~held' has changed since checkpoint 7: a {kind} that waits at step 'ask' has "
        "no cents"
    )
    for way_out in ("@wallaroo.upgrade_state('ask~held')", "__setstate__", "--allow-changed-state"):
        assert way_out in caught.value.hint


async def test_a_class_that_is_gone_is_refused(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(states_of_old, "Totals")
    with pytest.raises(StateObjectError, match="at step 'ask' cannot be unpickled"):
        await before.check(plan_with())


async def test_an_upgrade_function_and_the_option_are_ways_out(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals_class(monkeypatch, __init__=init_new)
    ((event, facts),) = await before.check(plan_with(lambda old: old))
    assert (event, facts["state"]) == ("state.upgrading", HELD_STATE)
    ((event, facts),) = await before.check(plan_with(), may_change=True)
    assert (event, facts["state"]) == ("state.changed", HELD_STATE)


async def test_the_upgrade_function_converts_each_record(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = totals_class(monkeypatch, __init__=init_new)
    records, found = await before.restored(plan_with(lambda old: kind(old.euros * 100)))
    assert [record.cents for record in records] == [500, 700]
    assert found.unreadable == []


async def test_the_upgrade_function_gets_records_of_a_class_that_is_gone(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(states_of_old, "Totals")
    records, _ = await before.restored(plan_with(lambda old: old.euros))
    assert records == [5, 7]


@pytest.mark.parametrize(
    ("upgrade", "problem"),
    [
        (lambda old: old.nothing, "its upgrade function raised AttributeError"),
        (lambda old: old, "its upgrade function returned a record without cents"),
    ],
    ids=["raises", "changes nothing"],
)
async def test_records_that_cannot_be_converted_are_a_key_that_cannot_be_read(
    before: Before, monkeypatch: pytest.MonkeyPatch, upgrade: Any, problem: str
) -> None:
    totals_class(monkeypatch, __init__=init_new)
    records, found = await before.restored(plan_with(upgrade))
    assert records == []
    ((state, key, what),) = [(each.state, each.key, each.problem) for each in found.unreadable]
    assert (state, key) == (HELD_STATE, "w1/0")
    assert what.startswith(problem)


async def test_without_an_upgrade_function_records_are_as_they_were(before: Before) -> None:
    records, found = await before.restored(plan_with())
    assert [record.euros for record in records] == [5, 7]
    assert found == Restored(before.parts.refs, {})


def test_the_decorator_takes_the_name_of_a_held_state() -> None:
    @wallaroo.upgrade_state("look it up~held")
    def upgrade(old: Any) -> Any:
        return old

    @wallaroo.computation_async("look it up")
    async def look_up(record: Any) -> Any:
        return record

    plan = application().to(look_up).to_sink(tcp_sink()).build()
    assert plan.states["look it up~held"].upgrade is upgrade.function


# What a class sets in each new object


class Sometimes:
    def __init__(self, value: int) -> None:
        self.value = value
        if value:
            self.other = value


class Reduced:
    def __init__(self, value: int) -> None:
        self.value = value

    def __getstate__(self) -> dict[str, int]:
        return {}


@dataclass(frozen=True, slots=True)
class Frozen:
    one: int
    two: int = 2
    late: int = field(init=False)


@dataclass
class Open:
    one: int
    two: int = 2


class Guarded:
    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def value(self) -> int:
        raise ValueError("not yet")

    @value.setter
    def value(self, value: int) -> None: ...


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (Sometimes, ["value"]),
        (Reduced, []),
        (Frozen, ["one", "two"]),
        (Open, ["one"]),
        (Guarded, []),
        (type("Dynamic", (), {"__init__": attributes(one=1)}), []),
        (dict, []),
        (ValueError, []),
    ],
)
def test_what_an_empty_object_lacks(kind: Any, missing: list[str]) -> None:
    assert missing_attributes(kind.__new__(kind)) == missing
