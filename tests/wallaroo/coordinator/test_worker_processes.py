"""At most one process for each worker, and only for its last order."""

from dataclasses import replace

from wallaroo.coordinator.events import Announce, StartWorker, WorkerLost
from wallaroo.coordinator.restart_policy import BACK_OFF_FIRST_S
from wallaroo.coordinator.worker_processes import (
    KILL_AFTER_S,
    GiveUp,
    KillLater,
    KillProcess,
    LaunchLater,
    LaunchProcess,
    ProcessEffect,
    ProcessFinished,
    WorkerProcesses,
)
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName

W = WorkerName("w1")
FIRST = StartWorker(W, Epoch(1), is_restart=False)
AGAIN = StartWorker(W, Epoch(2), is_restart=True)
SECOND = StartWorker(W, Epoch(2), is_restart=False)
NO_HOST = ClusterError("no host")


def finished(order: StartWorker) -> ProcessFinished:
    return ProcessFinished(order.worker, order.incarnation)


def running() -> WorkerProcesses:
    processes = WorkerProcesses(restarts_max=2)
    assert processes.start(FIRST, 0.0) == [LaunchProcess(FIRST)]
    assert processes.started(FIRST, 4711) == []
    return processes


def orders(effects: list[ProcessEffect]) -> list[ProcessEffect]:
    """Return the effects without announcements."""
    return [each for each in effects if not isinstance(each, Announce)]


def test_a_lost_worker_is_started_again_after_its_back_off() -> None:
    processes = running()
    assert processes.ended(FIRST) == [finished(FIRST)]
    announced, later = processes.start(AGAIN, 0.0)
    assert isinstance(announced, Announce)
    assert announced.event == "worker.restarting"
    assert later == LaunchLater(AGAIN, BACK_OFF_FIRST_S)
    assert processes.due(AGAIN) == [LaunchProcess(AGAIN)]


def test_a_process_is_launched_once_nothing_is_left_of_the_one_before() -> None:
    processes = running()
    assert processes.start(SECOND, 0.0) == [KillProcess(W)]
    assert processes.ended(FIRST) == [finished(FIRST), LaunchProcess(SECOND)]


def test_the_back_off_may_end_before_the_process_does() -> None:
    processes = running()
    assert orders(processes.start(AGAIN, 0.0))[0] == KillProcess(W)
    assert processes.due(AGAIN) == []
    assert processes.ended(FIRST) == [finished(FIRST), LaunchProcess(AGAIN)]


def test_a_process_that_ends_by_itself_waits_for_an_order() -> None:
    assert running().ended(FIRST) == [finished(FIRST)]


def test_only_the_last_order_counts() -> None:
    processes = running()
    processes.ended(FIRST)
    processes.start(AGAIN, 0.0)
    third = StartWorker(W, Epoch(3), is_restart=False)
    assert processes.start(third, 0.0) == [LaunchProcess(third)]
    assert processes.due(AGAIN) == []


def test_a_process_that_was_ordered_anew_while_it_started_is_killed_once_it_is_there() -> None:
    processes = WorkerProcesses(restarts_max=2)
    processes.start(FIRST, 0.0)
    assert processes.start(SECOND, 0.0) == [KillProcess(W)]
    assert processes.started(FIRST, 1) == [KillProcess(W)]
    assert processes.ended(FIRST) == [finished(FIRST), LaunchProcess(SECOND)]


def test_a_worker_that_is_lost_too_often_ends_the_run() -> None:
    processes = WorkerProcesses(restarts_max=2)
    for _ in range(2):
        assert isinstance(orders(processes.start(AGAIN, 0.0))[-1], LaunchLater)
    (given_up,) = processes.start(AGAIN, 0.0)
    assert isinstance(given_up, GiveUp)
    assert "worker w1 was lost 3 times within 60 s" in str(given_up.error)


def test_a_worker_whose_connectors_hang_again_and_again_ends_the_run() -> None:
    processes = WorkerProcesses(restarts_max=2)
    for now_s in (0.0, 100.0):
        processes.hung(W)
        assert isinstance(orders(processes.start(AGAIN, now_s))[-1], LaunchLater)
    processes.hung(W)
    (given_up,) = processes.start(AGAIN, 200.0)
    assert isinstance(given_up, GiveUp)
    assert "worker w1 was lost 3 times within 600 s" in given_up.error.what
    assert "source.stuck" in (given_up.error.hint or "")


def test_a_member_that_cannot_be_started_ends_the_run() -> None:
    processes = WorkerProcesses(restarts_max=2)
    processes.start(FIRST, 0.0)
    assert processes.not_started(FIRST, NO_HOST) == [finished(FIRST), GiveUp(NO_HOST)]


def test_a_worker_that_is_to_join_and_cannot_be_started_is_lost() -> None:
    joining = replace(SECOND, is_joining=True)
    processes = WorkerProcesses(restarts_max=2)
    processes.start(joining, 0.0)
    lost = WorkerLost(W, Epoch(2), "it cannot be started: no host")
    assert processes.not_started(joining, NO_HOST) == [finished(joining), lost]


def test_a_start_that_fails_when_it_is_not_wanted_any_more_ends_nothing() -> None:
    processes = WorkerProcesses(restarts_max=2)
    processes.start(FIRST, 0.0)
    processes.start(SECOND, 0.0)
    assert processes.not_started(FIRST, NO_HOST) == [finished(FIRST), LaunchProcess(SECOND)]


def test_a_worker_that_was_told_to_stop_is_killed_when_it_does_not() -> None:
    processes = running()
    assert processes.end(W, is_stopping=True) == [KillLater(FIRST, KILL_AFTER_S)]
    assert processes.overdue(FIRST) == [KillProcess(W)]
    assert processes.ended(FIRST) == [finished(FIRST)]
    assert processes.pids == {}


def test_a_worker_that_stops_in_time_is_not_killed() -> None:
    processes = running()
    processes.end(W, is_stopping=True)
    processes.ended(FIRST)
    assert processes.overdue(FIRST) == []


def test_a_worker_that_was_not_told_to_stop_is_killed_at_once() -> None:
    assert running().end(W, is_stopping=False)[0] == KillProcess(W)


def test_a_worker_that_never_ran_has_nothing_to_end() -> None:
    assert WorkerProcesses(restarts_max=2).end(W, is_stopping=False) == []


def test_nothing_is_started_once_the_run_is_over() -> None:
    processes = running()
    processes.start(SECOND, 0.0)
    processes.end_all()
    assert processes.ended(FIRST) == [finished(FIRST)]
