"""An orderly stop has some time, from the moment it is requested."""

from wallaroo.coordinator.stop_deadline import StopDeadline
from wallaroo.names import WorkerName


def test_the_deadline_starts_once_with_the_request() -> None:
    deadline = StopDeadline(5.0)
    assert deadline.starts(is_stopping=False) is None
    assert deadline.starts(is_stopping=True) == 5.0
    assert deadline.starts(is_stopping=True) is None


def test_without_a_limit_no_deadline_starts() -> None:
    assert StopDeadline(None).starts(is_stopping=True) is None


def test_the_workers_that_hold_up_the_stop_are_named() -> None:
    deadline = StopDeadline(5.0)
    line = deadline.passed([WorkerName("w1"), WorkerName("w2")])
    assert line.event == "cluster.stop_timed_out"
    assert line.values["workers"] == "w1, w2"
    assert deadline.passed([]).values["workers"] == "none"
