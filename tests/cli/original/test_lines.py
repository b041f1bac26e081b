"""The lines that scripts wait for, each at its moment."""

import pytest

from wallaroo_cli.original.lines import (
    INITIALIZED,
    JOINED,
    READY,
    RECOVERED,
    RESIZED,
    RESUMED,
    Lines,
    Situation,
    say,
)

WORKERS = ("initializer", "worker1")
NEW = "***New worker worker2 added to cluster!***"
REPLAYED = "RESILIENCE: Replayed 26 entries from recovery log file."


def lines(
    *, is_successor: bool = False, is_durable: bool = False, is_joining: bool = False
) -> Lines:
    return Lines("worker1", is_successor=is_successor, is_durable=is_durable, is_joining=is_joining)


def at(phase: str, epoch: int = 1, workers: tuple[str, ...] = WORKERS) -> Situation:
    return Situation(phase, epoch, workers)


def test_a_start_is_told_once_when_the_application_runs() -> None:
    told = lines()
    assert told.came(at("forming")) == []
    assert told.came(at("opening")) == []
    assert told.came(at("running")) == [READY, INITIALIZED]
    assert told.came(at("running")) == []
    assert told.came(at("draining")) == []


def test_a_joining_worker_has_joined_once_it_runs() -> None:
    told = lines(is_joining=True)
    assert told.came(at("running", 2)) == [JOINED, RESIZED, RESUMED, READY, INITIALIZED]


def test_one_that_is_not_yet_a_member_says_nothing() -> None:
    told = lines(is_joining=True)
    assert told.came(at("running", 1, ("initializer",))) == []
    assert told.came(at("running", 2))[0] == JOINED


def test_a_resize_is_told_by_all() -> None:
    told = lines()
    told.came(at("running"))
    assert told.came(at("moving")) == []
    grown = (*WORKERS, "worker2")
    assert told.came(at("running", 2, grown)) == [RESIZED, RESUMED, NEW]
    assert told.came(at("running", 3)) == [RESIZED, RESUMED]


@pytest.mark.parametrize(("is_durable", "restored"), [(True, [REPLAYED, RECOVERED]), (False, [])])
def test_a_recovery_is_told_by_those_that_lived(is_durable: bool, restored: list[str]) -> None:
    told = lines(is_durable=is_durable)
    told.came(at("running"), 26)
    assert told.came(at("forming", 2)) == []
    assert told.needs_key_count(at("running", 2)) is is_durable
    assert told.came(at("running", 2), 26) == [*restored, RESUMED, READY]


@pytest.mark.parametrize("is_joining", [True, False])
def test_a_successor_has_recovered_whatever_its_line_says(is_joining: bool) -> None:
    told = lines(is_successor=True, is_durable=True, is_joining=is_joining)
    assert told.needs_key_count(at("running", 5))
    expected = [REPLAYED, RECOVERED, RESUMED, READY, INITIALIZED]
    assert told.came(at("running", 5), 26) == expected


def test_a_successor_without_resilience_only_resumes() -> None:
    told = lines(is_successor=True)
    assert not told.needs_key_count(at("running", 5))
    assert told.came(at("running", 5)) == [RESUMED, READY, INITIALIZED]


def test_a_recovery_that_nobody_saw_begin_is_seen_by_its_epoch() -> None:
    told = lines()
    told.came(at("running", 1))
    assert told.came(at("running", 3)) == [RESUMED, READY]


def test_keys_are_counted_only_when_they_were_restored() -> None:
    told = lines(is_durable=True)
    assert not told.needs_key_count(at("running"))
    told.came(at("running"))
    assert not told.needs_key_count(at("running"))
    assert not told.needs_key_count(at("forming", 2))
    assert not told.needs_key_count(at("running", 2, (*WORKERS, "worker2")))


def test_a_line_is_out_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    say(READY)
    assert capfd.readouterr().out == READY + "\n"
