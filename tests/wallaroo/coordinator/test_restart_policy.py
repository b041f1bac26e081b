"""Back-off between losses, and the end of patience."""

import pytest

from wallaroo.coordinator.restart_policy import (
    BACK_OFF_FIRST_S,
    BACK_OFF_MAX_S,
    RESTARTS_MAX,
    WINDOW_AFTER_A_HANG_S,
    WINDOW_S,
    RestartPolicy,
)


def test_the_wait_doubles_with_each_loss_up_to_its_bound() -> None:
    policy = RestartPolicy()
    waits = [policy.lost(0.0) for _ in range(RESTARTS_MAX)]
    expected = [min(BACK_OFF_FIRST_S * 2**n, BACK_OFF_MAX_S) for n in range(RESTARTS_MAX)]
    assert waits == pytest.approx(expected)
    assert waits[-1] == BACK_OFF_MAX_S


def test_too_many_losses_within_the_window_are_the_end() -> None:
    policy = RestartPolicy(restarts_max=3, window_s=10.0)
    assert None not in [policy.lost(second) for second in (0.0, 1.0, 9.9)]
    assert policy.lost(9.99) is None


def test_losses_before_the_window_are_forgotten() -> None:
    policy = RestartPolicy(restarts_max=3, window_s=10.0)
    for second in (0.0, 1.0, 2.0):
        policy.lost(second)
    assert policy.lost(10.0) == pytest.approx(4 * BACK_OFF_FIRST_S)
    assert policy.lost(10.5) is None
    assert policy.lost(100.0) == pytest.approx(BACK_OFF_FIRST_S)


def test_losses_by_hangs_are_remembered_for_longer() -> None:
    policy = RestartPolicy()
    for turn in range(RESTARTS_MAX):
        policy.hung()
        assert policy.lost(turn * WINDOW_AFTER_A_HANG_S / (RESTARTS_MAX + 1)) is not None
    assert policy.lost(WINDOW_AFTER_A_HANG_S * 0.99) is None


def test_a_loss_now_and_then_never_ends_a_cluster() -> None:
    policy = RestartPolicy()
    for turn in range(1000):
        assert policy.lost(turn * WINDOW_S / (RESTARTS_MAX - 1)) is not None


def test_no_patience_at_all_gives_up_at_once() -> None:
    assert RestartPolicy(restarts_max=0).lost(0.0) is None
