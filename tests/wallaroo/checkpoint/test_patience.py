"""A store that is away at the start is waited for, and named; what it refuses is not."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.patience import REPORT_INTERVAL_S, RETRY_INTERVAL_S, PatientStore
from wallaroo.errors import AlreadyExistsError, MissingObjectError, StoreError, WallarooError
from wallaroo.testing.faults import NO_FAULTS, Chaos
from wallaroo.testing.loop import Loop, Process
from wallaroo.testing.store import Objects, SimulatedStore

TIMEOUT_S = 60.0


class AwayStore(SimulatedStore):
    """A store that cannot be reached until a time; perhaps only its answers cannot."""

    def __init__(self, process: Process, objects: Objects, chaos: Chaos) -> None:
        super().__init__(process, objects, chaos)
        self.away_until_s = 0.0
        self.loses_answers = False
        self.is_refusal = False
        self.request_count = 0
        self._loop = process.loop

    async def _travel(self, arrive: object) -> None:
        self.request_count += 1
        if self._loop.now_s < self.away_until_s:
            if self.loses_answers:
                assert callable(arrive)
                arrive()
            raise StoreError("connection refused", "start it", is_refusal=self.is_refusal)
        await super()._travel(arrive)


class Bench:
    """A patient store in front of one that is away, on a virtual clock."""

    def __init__(self) -> None:
        self.loop = Loop(Random(1), 100)
        chaos = Chaos(NO_FAULTS, Random(1), self.loop)
        self.process = Process(self.loop, "initializer", chaos)
        self.away = AwayStore(self.process, Objects(), chaos)
        self.reported: list[tuple[str, dict[str, Any]]] = []
        self.store = PatientStore(
            self.away,
            self.process.pause,
            lambda: self.loop.now_s,
            lambda event, values: self.reported.append((event, values)),
            TIMEOUT_S,
        )

    def run(self, work: Callable[[], Any]) -> Any:
        """Return what a coroutine returns or raises, and when it did."""
        outcome: list[Any] = []

        async def working() -> None:
            try:
                outcome.append(await work())
            except WallarooError as error:
                outcome.append(error)

        self.process.start(working())
        assert self.loop.run(lambda: bool(outcome), 10_000)
        return outcome[0]


@pytest.mark.parametrize("away_s", [0.5, 3.0, 55.0])
@pytest.mark.parametrize("loses_answers", [False, True])
def test_a_store_that_comes_back_in_time_is_used(away_s: float, loses_answers: bool) -> None:
    bench = Bench()
    bench.away.away_until_s, bench.away.loses_answers = away_s, loses_answers
    log = ManifestLog(bench.store, bench.process.pause, lambda: "token")
    assert bench.run(log.check_store) is None
    assert bench.loop.now_s < away_s + RETRY_INTERVAL_S + 5
    events = [event for event, _ in bench.reported]
    assert events[0] == "store.unavailable"
    assert events[-1] == "store.available"
    assert len(events) == 2 + int(away_s / REPORT_INTERVAL_S)
    assert bench.reported[0][1]["location"] == "simulated"
    assert bench.reported[0][1]["reason"] == "connection refused"


def test_one_that_stays_away_is_given_up_after_the_time_that_it_had() -> None:
    bench = Bench()
    bench.away.away_until_s = 1e9
    error = bench.run(lambda: bench.store.list("manifests/"))
    assert isinstance(error, StoreError)
    assert error.what == "connection refused"
    assert TIMEOUT_S <= bench.loop.now_s < TIMEOUT_S + 2 * RETRY_INTERVAL_S
    # The next request does not wait as long again.
    before_s = bench.loop.now_s
    assert isinstance(bench.run(lambda: bench.store.get("x")), StoreError)
    assert bench.loop.now_s - before_s < RETRY_INTERVAL_S


def test_after_it_was_there_it_has_the_whole_time_again() -> None:
    bench = Bench()
    bench.away.away_until_s = 50.0
    assert bench.run(bench.store.list) == []
    bench.away.away_until_s = bench.loop.now_s + 50.0
    assert bench.run(bench.store.list) == []


@pytest.mark.parametrize("is_refusal", [True, False])
def test_what_it_refuses_is_an_error_at_once_and_so_is_all_without_patience(
    is_refusal: bool,
) -> None:
    bench = Bench()
    bench.away.away_until_s, bench.away.is_refusal = 1e9, is_refusal
    if not is_refusal:
        bench.store.stop_waiting()
    assert isinstance(bench.run(bench.store.list), StoreError)
    assert bench.away.request_count == 1
    assert bench.reported == []


def test_what_is_there_already_or_is_not_there_is_an_answer() -> None:
    bench = Bench()
    assert bench.run(lambda: bench.store.create("a", b"1")) is None
    assert isinstance(bench.run(lambda: bench.store.create("a", b"2")), AlreadyExistsError)
    assert isinstance(bench.run(lambda: bench.store.get("b")), MissingObjectError)
    assert bench.run(lambda: bench.store.get("a")) == b"1"
    assert bench.run(lambda: bench.store.delete(["a"])) is None
    assert bench.run(bench.store.list) == []
    assert bench.reported == []
