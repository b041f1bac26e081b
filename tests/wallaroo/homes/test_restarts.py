"""When the initializer and agents of a home are started again."""

import pytest

from wallaroo.homes.restarts import FAILURES_MAX, Act, AgentRestarts, Supervisor
from wallaroo.statuses import ExitStatus

KILLED = -9


def started(*, was_ready: bool = False, is_ready: bool = False, lease_s: float = 1e9) -> Supervisor:
    supervisor = Supervisor(0.0, was_ready=was_ready, lease_s=lease_s)
    assert supervisor.decide(0.0) is Act.START
    if is_ready:
        supervisor.ready(1.0)
    return supervisor


@pytest.mark.parametrize("status", [0, 2, 4, 5])
def test_a_run_that_ended_for_good_is_over_with_its_status(status: int) -> None:
    supervisor = started(is_ready=True)
    supervisor.ended(status, 100.0)
    assert (supervisor.status, supervisor.is_over) == (status, True)
    assert supervisor.decide(1000.0) is None


@pytest.mark.parametrize("status", [1, KILLED])
def test_an_initializer_that_was_never_ready_is_not_started_again(status: int) -> None:
    supervisor = started()
    supervisor.ended(status, 1.0)
    assert supervisor.status == ExitStatus.FAILED


def test_a_mistake_is_not_repeated_even_if_an_earlier_manager_was_ready() -> None:
    supervisor = started(was_ready=True)
    supervisor.ended(2, 1.0)
    assert supervisor.status == ExitStatus.MISTAKE


@pytest.mark.parametrize("status", [1, KILLED])
def test_an_initializer_that_was_ready_is_started_again_after_a_pause(status: int) -> None:
    supervisor = started(is_ready=True)
    supervisor.ended(status, 10.0)
    assert not supervisor.is_over
    assert not supervisor.is_ready
    assert supervisor.decide(10.0) is None
    assert supervisor.decide(10.5) is Act.START
    assert supervisor.decide(11.0) is None


def test_pauses_grow_and_after_many_failures_the_run_is_over() -> None:
    supervisor = started(is_ready=True)
    now_s, pauses = 2.0, []
    while True:
        supervisor.ended(1, now_s)
        if supervisor.is_over:
            break
        ended_s = now_s
        while supervisor.decide(now_s) is None:
            now_s += 0.25
        pauses.append(now_s - ended_s)
    assert len(pauses) == FAILURES_MAX
    assert pauses == sorted(pauses)
    assert supervisor.status == ExitStatus.FAILED


def test_failures_are_forgiven_once_the_application_was_ready_for_a_minute() -> None:
    supervisor = started(is_ready=True)
    now_s = 0.0
    for _ in range(3 * FAILURES_MAX):
        now_s += 100.0
        supervisor.ended(1, now_s)
        now_s += 1.0
        assert supervisor.decide(now_s) is Act.START
        supervisor.ready(now_s)


def test_each_request_to_stop_is_passed_on_once() -> None:
    supervisor = started(is_ready=True)
    supervisor.stop()
    decided = [supervisor.decide(1.0), supervisor.decide(1.0)]
    supervisor.stop()
    decided += [supervisor.decide(2.0), supervisor.decide(2.0)]
    assert decided == [Act.STOP, None, Act.STOP, None]
    supervisor.ended(0, 3.0)
    assert supervisor.status == 0


def test_a_run_is_not_started_again_while_it_stops() -> None:
    supervisor = started(is_ready=True)
    supervisor.stop()
    supervisor.decide(1.0)
    supervisor.ended(KILLED, 2.0)
    assert supervisor.status == ExitStatus.FAILED


def test_a_stop_between_two_starts_ends_the_run() -> None:
    supervisor = started(is_ready=True)
    supervisor.ended(KILLED, 2.0)
    supervisor.stop()
    assert supervisor.decide(100.0) is None
    assert supervisor.is_over


def test_a_mistake_of_an_agent_ends_a_run_that_was_never_ready() -> None:
    supervisor = started()
    assert supervisor.mistaken()
    assert supervisor.decide(1.0) is Act.STOP
    ends = [supervisor.is_over]
    supervisor.ended(0, 2.0)
    ends.append(supervisor.is_over)
    assert ends == [False, True]
    assert supervisor.status == ExitStatus.MISTAKE


def test_a_mistake_of_an_agent_does_not_end_a_run_that_was_ready() -> None:
    supervisor = started(is_ready=True)
    assert not supervisor.mistaken()
    assert supervisor.decide(1.0) is None


def test_a_run_stops_when_the_command_that_started_it_is_not_heard_any_more() -> None:
    supervisor = started(is_ready=True, lease_s=60.0)
    supervisor.heard(50.0)
    assert supervisor.decide(110.0) is None
    assert supervisor.decide(111.0) is Act.STOP
    assert supervisor.decide(200.0) is None


def test_an_agent_that_ended_in_order_or_has_a_mistake_is_not_started_again() -> None:
    restarts = AgentRestarts()
    assert restarts.ended(0, 100.0) is None
    assert restarts.ended(2, 1.0) is None


def test_an_agent_that_lost_its_initializer_asks_for_the_next_one_immediately() -> None:
    restarts = AgentRestarts()
    assert restarts.ended(3, 1.0) == 0.0


def test_an_agent_that_fails_again_and_again_pauses_longer() -> None:
    restarts = AgentRestarts()
    pauses = [restarts.ended(status, 1.0) for status in (1, KILLED, 1, 1)]
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert restarts.ended(1, 100.0) == 0.0
    assert restarts.ended(1, 1.0) == 0.5
