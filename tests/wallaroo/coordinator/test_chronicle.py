"""What of the coordinator's decisions stands in the event history."""

from wallaroo.coordinator.chronicle import Chronicle
from wallaroo.coordinator.events import Announce, Publish
from wallaroo.metrics.event_history import EventHistory
from wallaroo.names import Epoch


class Chronicled:
    def __init__(self) -> None:
        self.now_s = 50.0
        self.events = EventHistory(lambda: self.now_s)
        self.chronicle = Chronicle(self.events, lambda: self.now_s)

    def announced(self, event: str, **values: object) -> None:
        self.chronicle.on_effect(Announce(event, values, "what follows"))

    def ran(self, epoch: int, *, is_again: bool = True) -> None:
        self.chronicle.on_effect(Publish(Epoch(epoch), is_again))

    @property
    def reported(self) -> list[tuple[str, str, str]]:
        return [(each["kind"], each["level"], each["text"]) for each in self.events.newest()]


def test_a_recovery_says_how_long_it_took_from_the_first_loss() -> None:
    run = Chronicled()
    run.ran(1, is_again=False)
    run.announced("worker.lost", worker="w1", reason="killed", epoch=2, lost="nothing")
    run.now_s += 1.5
    run.announced("worker.lost", worker="w2", reason="killed", epoch=3, lost="nothing")
    run.now_s += 0.5
    run.ran(3)
    assert run.reported == [
        ("application.ready", "info", "the application is ready"),
        ("worker.lost", "warning", "worker w1 was lost: killed"),
        ("worker.lost", "warning", "worker w2 was lost: killed"),
        (
            "application.ready_again",
            "info",
            "recovered: records are accepted again, 2.0 s after the loss",
        ),
    ]
    assert run.events.newest()[-1]["facts"] == {"epoch": 3, "took_s": 2.0}


def test_a_resize_is_one_entry_though_the_cluster_is_ready_again_in_between() -> None:
    run = Chronicled()
    run.announced("cluster.resizing", joining="w3, w4", leaving="")
    run.ran(2)
    run.announced("cluster.resized", workers="w1, w2, w3, w4")
    assert run.reported == [
        (
            "cluster.resized",
            "info",
            "resized: w3, w4 joined; the workers are w1, w2, w3, w4",
        )
    ]


def test_a_resize_that_was_called_off_says_why() -> None:
    run = Chronicled()
    run.announced("cluster.resizing", joining="w3", leaving="")
    run.announced("cluster.resize_aborted", reason="worker w3 was lost")
    assert run.reported == [
        ("cluster.resize_aborted", "warning", "a resize was aborted: worker w3 was lost")
    ]


def test_checkpoints_that_fail_in_a_row_are_one_entry() -> None:
    run = Chronicled()
    for count in (1, 2, 3):
        run.announced("checkpoint.failed", reason="disk full", failed_in_a_row=count)
    (entry,) = run.events.newest()
    assert entry["count"] == 3


def test_steps_on_the_way_are_left_to_the_log() -> None:
    run = Chronicled()
    run.announced("worker.joined", worker="w1")
    run.announced("worker.left", worker="w1")
    run.announced("cluster.drained", record_count=1, failure_count=0)
    assert run.reported == []


def test_lost_input_stays_in_the_history() -> None:
    run = Chronicled()
    run.announced("journals.lost", worker="w2", journal="w2-0000000001", actual_bytes=0)
    assert run.reported == [
        ("journals.lost", "error", "input was lost with journal w2-0000000001 of w2")
    ]
