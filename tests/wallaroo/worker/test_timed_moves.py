"""Windows in shares, restores and moves give what one worker gives that nothing happens to."""

import random

import pytest

from tests.wallaroo.operators.test_timed_states import windowed
from tests.wallaroo.timing.windowed import LISTED, spec_of, tumbling
from tests.wallaroo.worker.timed_run import LIMITS, TimedRun, drawn_records, play
from wallaroo.names import WorkerName
from wallaroo.routing.keys import key_bytes
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.testing.model import TimedRecord
from wallaroo.timing.window_spec import (
    CalendarUnit,
    CalendarWindows,
    CountWindows,
    EphemeralWindows,
    FixedWindows,
    GlobalWindows,
    SessionWindows,
    WindowSpec,
)
from wallaroo.topology.plan import Application
from wallaroo.worker.state_queries import KeyPages, get_key

BOUND = 6
SEEDS = 12

SPECS = {
    "tumbling": spec_of(tumbling(10)),
    "delayed": spec_of(tumbling(10), delay_ns=7),
    "sliding": spec_of(FixedWindows(12, 4)),
    "sliding with gaps between starts": spec_of(FixedWindows(10, 4)),
    "not merged": spec_of(tumbling(10), LISTED),
    "hours": spec_of(CalendarWindows(CalendarUnit.HOUR)),
    "one": spec_of(GlobalWindows(), early_count=1_000),
    "sessions": spec_of(SessionWindows(5)),
    "cut sessions": spec_of(SessionWindows(5, longest_ns=20)),
    "counts": spec_of(CountWindows(3, 3, emits_partial=True)),
    "overlapping counts": spec_of(CountWindows(4, 2)),
}


def compare(spec: WindowSpec, seed: int) -> None:
    chance = random.Random(seed)
    bound = 0 if isinstance(spec.windows, SessionWindows | EphemeralWindows) else BOUND
    records = drawn_records(chance, chance.randint(0, 60), bound, "abcdefg")
    plan = windowed(spec)
    expected = TimedRun(plan, records, bound).finish()
    assert play(TimedRun(plan, records, bound, chance.choice(LIMITS)), chance) == expected, seed


@pytest.mark.parametrize("name", SPECS)
def test_shares_and_moves_change_nothing(name: str) -> None:
    for seed in range(SEEDS):
        compare(SPECS[name], seed)


def test_a_window_does_not_fire_again_if_keys_move_in_that_had_not_fired() -> None:
    """One part has a window that is over here and another that is open."""
    plan = windowed(spec_of(tumbling(10)))
    members = ("w0", "w1")
    mine, other = _key_of(plan, members, 0), _key_of(plan, members, 1)
    records = [
        TimedRecord(mine, 1, "a"),
        TimedRecord(other, 2, "b"),
        TimedRecord(mine, 95, "c"),
        TimedRecord(mine, 105, "d"),
    ]
    expected = TimedRun(plan, records, 92).finish()
    timed = TimedRun(plan, records, 92, LIMITS[2])
    timed.crash(members)
    for _ in records[:-1]:
        timed.take_record()
    timed.freeze()
    timed.commit()
    timed.take_record()
    timed.move_clock()
    while timed.fire(3, 0.5):
        pass
    timed.resize(["w0"])
    timed.freeze()
    timed.commit()
    timed.crash(["w0"])
    assert timed.finish() == expected


@pytest.mark.parametrize("name", ["sliding", "not merged", "sessions", "counts"])
def test_open_windows_of_a_key_are_shown_and_go_with_it(name: str) -> None:
    plan = windowed(SPECS[name])
    timed = TimedRun(plan, [TimedRecord(key, time, "x") for time in (1, 2) for key in "ab"], 0)
    for _ in range(3):
        timed.take_record()
        timed.freeze()
        timed.take_record()
    (worker,) = timed.workers.values()
    ((state, saved),) = worker.flow.saved_states.items()
    params = {"state": state, "key": key_bytes("a").hex()}
    found = get_key(worker.flow.saved_states, worker.flow.timed, params)
    assert found["is_there"] and found["value"] is None and found["timers"] == []
    assert found["window_count"] == len(found["windows"]) > 0
    for each in found["windows"]:
        assert each["start"] <= 2 <= each["end"] and each["accumulator"] is not None
    page = KeyPages().page(worker.flow.saved_states, {"state": state, "first": 0, "count": 9})
    assert page == {"keys": [["str", "a", False], ["str", "b", False]], "is_last": True}
    assert saved.delete("a")
    assert not saved.delete("a")
    assert get_key(worker.flow.saved_states, worker.flow.timed, params) == {"is_there": False}
    timed.commit()
    timed.freeze()
    timed.commit()
    timed.crash(["w0"])
    (worker,) = timed.workers.values()
    assert get_key(worker.flow.saved_states, worker.flow.timed, params) == {"is_there": False}
    results = timed.finish()
    assert results and all("key='b'" in line for line in results)


def _key_of(plan: Application, members: tuple[str, ...], owner: int) -> str:
    (state,) = plan.states
    owners = PartitionMap.initial(state, 1024, [], [*map(WorkerName, members)])
    return next(key for key in "abcdefghij" if owners.owner_of(key) == members[owner])
