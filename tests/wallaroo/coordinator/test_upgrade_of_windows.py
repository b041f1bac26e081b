"""What a start says to windows that have changed since their checkpoint, and their upgrades."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.wallaroo.operators.test_timed_states import windowed
from tests.wallaroo.timing.windowed import spec_of, tumbling
from tests.wallaroo.worker.timed_run import TimedRun
from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.coordinator.upgrade_gate import UpgradeGate
from wallaroo.errors import StateObjectError
from wallaroo.testing.model import TimedRecord
from wallaroo.timing.window_spec import (
    AggregationSpec,
    CountWindows,
    SessionWindows,
    Windows,
    WindowSpec,
)
from wallaroo.topology.plan import Application


@dataclass
class Total:
    """The present accumulator; an older release had the sum only."""

    value: int = 0
    count: int = 0


class OldTotal:
    def __init__(self) -> None:
        self.value = 0


def old_update(record: int, total: OldTotal) -> None:
    total.value += record


def old_merge(one: OldTotal, other: OldTotal) -> OldTotal:
    assert type(one) is type(other) is OldTotal
    total = OldTotal()
    total.value = one.value + other.value
    return total


def update(record: int, total: Total) -> None:
    total.value += record
    total.count += 1


def merge(one: Total, other: Total) -> Total:
    return Total(one.value + other.value, one.count + other.count)


def upgraded(old: OldTotal) -> Total:
    return Total(old.value, 1)


OLD = AggregationSpec(
    name="total", initial=OldTotal, update=old_update, update_returns=False, merge=old_merge
)
NEW = AggregationSpec(name="total", initial=Total, update=update, update_returns=False, merge=merge)

WINDOWS = [tumbling(10), SessionWindows(5), CountWindows(9, 9, emits_partial=True)]


def plan_of(spec: WindowSpec, upgrade: Any = None) -> Application:
    plan = windowed(spec)
    return replace(
        plan, states={name: replace(each, upgrade=upgrade) for name, each in plan.states.items()}
    )


class Started:
    """An old run that has left a checkpoint, in which each key is in two parts."""

    def __init__(self, windows: Windows) -> None:
        records = [TimedRecord(key, time, 7) for time in (1, 2) for key in "ab"]
        self.run = TimedRun(plan_of(spec_of(windows, OLD)), records, 0)
        for _ in range(2):
            self.run.take_record()
            self.run.take_record()
            self.run.freeze()
            self.run.commit()

    @property
    def manifest(self) -> Manifest:
        assert self.run.manifest is not None
        return self.run.manifest

    async def check(self, plan: Application) -> list[str]:
        """Return what the gate reports; it raises if the plan must not go on."""
        said: list[str] = []

        def report(event: str, _: Any) -> None:
            said.append(event)

        gate = UpgradeGate(plan, fresh_shapes(plan), self.run.parts, report, report)
        await gate.check(self.manifest, may_change=False)
        return said


@pytest.mark.parametrize("windows", WINDOWS, ids=repr)
async def test_a_changed_accumulator_is_refused_by_the_name_of_its_state(windows: Windows) -> None:
    old = Started(windows)
    assert await old.check(plan_of(spec_of(windows, OLD))) == []
    with pytest.raises(StateObjectError, match="state 'joined' has changed since checkpoint 2"):
        await old.check(plan_of(spec_of(windows, NEW)))


@pytest.mark.parametrize("windows", WINDOWS, ids=repr)
async def test_an_upgrade_function_converts_the_accumulators(windows: Windows) -> None:
    old = Started(windows)
    plan = plan_of(spec_of(windows, NEW), upgraded)
    assert await old.check(plan) == ["state.upgrading"]
    old.run.go_on_as(plan)
    results = old.run.finish()
    # Panes are merged after they were converted; other windows were one object.
    count = 2 if windows == tumbling(10) else 1
    assert len(results) == 2
    assert all(f"value=Total(value=14, count={count})" in line for line in results)


@pytest.mark.parametrize("windows", [tumbling(20), SessionWindows(9)], ids=repr)
async def test_other_windows_are_refused_by_the_name_of_their_state(windows: Windows) -> None:
    with pytest.raises(StateObjectError, match="windows of state 'joined' have changed") as caught:
        await Started(tumbling(10)).check(plan_of(spec_of(windows, OLD)))
    assert "--allow-dropped-state" in caught.value.hint
