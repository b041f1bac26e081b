"""What failures make of a run: when it stops, and the status it ends with."""

import pytest

from tests.wallaroo.coordinator.played_worker import counted_source
from tests.wallaroo.coordinator.story import WORKERS, A, B, Story, watch_of_failures
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import Announce, DrainRequested, Received, Send
from wallaroo.coordinator.run_outcome import FailureLimit, FailureRule, FailureWatch
from wallaroo.errors import ConfigError
from wallaroo.names import Epoch, WorkerName
from wallaroo.statuses import ExitStatus
from wallaroo.wire.control import Counted, Drain

E1 = Epoch(1)


def said(worker: WorkerName, arrived: int, failed: int) -> Counted:
    return Counted(E1, worker, E1, counted_source(worker, arrived, failed))


def announced(watch: FailureWatch, worker: WorkerName, arrived: int, failed: int) -> bool:
    return watch.reported(worker, said(worker, arrived, failed), WORKERS) is not None


@pytest.mark.parametrize(
    ("text", "accepted", "failed", "is_passed"),
    [
        ("0", 1, 0, False),
        ("0", 1, 1, True),
        ("10", 10, 10, False),
        ("10", 11, 11, True),
        # A share is judged from the 100th record on.
        ("10%", 99, 99, False),
        ("10%", 100, 10, False),
        ("10%", 100, 11, True),
        ("0%", 100, 1, True),
        ("0.1%", 1000, 1, False),
        ("0.1%", 999, 1, True),
        ("100%", 1000, 1000, False),
        # A multi computation makes more records than arrived.
        ("100%", 1000, 1001, True),
    ],
)
def test_a_limit_is_a_number_or_a_share(
    text: str, accepted: int, failed: int, is_passed: bool
) -> None:
    assert FailureLimit.parse(text).is_passed(accepted, failed) is is_passed


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.5", "nan", "inf", "nan%", "1e3", "%", "five", "101%", "100.1%", "1%%"],
)
def test_anything_else_is_a_mistake_with_its_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-failures") as raised:
        FailureLimit.parse(text)
    assert raised.value.hint


def test_a_run_without_failures_is_done() -> None:
    watch = watch_of_failures()
    assert watch.outcome().status is ExitStatus.DONE
    announced(watch, A, 5, 0)
    outcome = watch.outcome()
    assert (outcome.status, outcome.reason, outcome.dead_letter_count) == (ExitStatus.DONE, "", 0)


def test_some_failures_leave_the_status_and_are_reported() -> None:
    watch = watch_of_failures()
    announced(watch, A, 5, 0)
    announced(watch, B, 5, 5)
    outcome = watch.outcome()
    assert outcome.status is ExitStatus.DONE
    assert (outcome.record_count, outcome.failure_count, outcome.dead_letter_count) == (10, 5, 5)
    assert outcome.failing_workers == (B,)


def test_a_run_whose_records_all_failed_says_so() -> None:
    watch = watch_of_failures()
    announced(watch, A, 5, 5)
    outcome = watch.outcome()
    assert outcome.status is ExitStatus.ALL_FAILED
    assert outcome.reason == "every record of pipeline 'p' failed"


def test_the_originals_operators_see_no_failures_in_the_status() -> None:
    watch = watch_of_failures()
    watch.rule = FailureRule(sets_status=False)
    announced(watch, A, 5, 5)
    assert watch.outcome().status is ExitStatus.DONE
    assert watch.outcome().dead_letter_count == 5


def test_a_passed_limit_comes_before_a_pipeline_that_failed() -> None:
    watch = watch_of_failures(FailureLimit.parse("4"))
    assert announced(watch, A, 5, 5)
    outcome = watch.outcome()
    assert outcome.status is ExitStatus.TOO_MANY_FAILURES
    assert outcome.reason == "5 of 5 records failed, and --max-failures is 4"


def test_a_limit_is_passed_once_whichever_worker_fails() -> None:
    watch = watch_of_failures(FailureLimit.parse("4"))
    assert not announced(watch, A, 9, 2)
    assert not announced(watch, B, 9, 2)
    assert announced(watch, B, 9, 3)
    assert not announced(watch, A, 9, 9)


def test_a_share_is_not_passed_because_one_worker_reports_late() -> None:
    watch = watch_of_failures(FailureLimit.parse("1%"))
    # One in two hundred fails, all of them on b; a, which accepts them, reports later.
    assert not announced(watch, A, 100, 0)
    for second in range(1, 10):
        accepted = 1000 * second
        assert not announced(watch, B, 0, accepted // 200)
        assert not announced(watch, A, accepted, 0)
    assert watch.outcome().status is ExitStatus.DONE


def test_a_share_that_is_passed_is_noticed_with_the_next_reports_of_all() -> None:
    watch = watch_of_failures(FailureLimit.parse("1%"))
    assert not announced(watch, B, 0, 30)
    assert not announced(watch, A, 1000, 0)
    assert not announced(watch, B, 0, 30)
    assert announced(watch, A, 1000, 0)
    # What good records come during the stop does not undo it.
    announced(watch, A, 1_000_000, 0)
    assert watch.outcome().status is ExitStatus.TOO_MANY_FAILURES


def test_what_failed_in_an_earlier_run_is_not_held_against_this_one() -> None:
    watch = watch_of_failures(FailureLimit.parse("4"), is_durable=True)
    watch.counts.begin(counted_source("a", 9, 9))
    watch.counts.totals.set_members(["a"], 1)
    assert watch.reported(A, said(A, 13, 13), [A]) is None
    assert watch.outcome().status is ExitStatus.ALL_FAILED
    assert watch.reported(A, said(A, 14, 14), [A]) is not None
    assert watch.outcome().dead_letter_count == 5


# The coordinator


def test_a_passed_limit_stops_the_cluster_in_order() -> None:
    story = Story(FailureLimit.parse("2"))
    story.go_to(Phase.RUNNING)
    assert story.say(A, said(A, 5, 2)) == []
    effects = story.coordinator.step(Received(B, said(B, 5, 1)))
    (line, *_) = effects
    assert isinstance(line, Announce)
    assert line.event == "failures.exceeded"
    assert line.values == {"record_count": 10, "failure_count": 3, "limit": "2"}
    assert any(isinstance(each, Send) and isinstance(each.frame, Drain) for each in effects)
    assert story.phase is Phase.DRAINING


def test_a_limit_that_is_passed_during_a_drain_leaves_the_workers_up() -> None:
    story = Story(FailureLimit.parse("2"))
    story.go_to(Phase.RUNNING)
    story.step(DrainRequested())
    assert story.say(A, said(A, 5, 3)) == []
    story.drained()
    assert story.phase is Phase.DRAINED
    assert story.failures.outcome().status is ExitStatus.TOO_MANY_FAILURES


def test_counts_leave_no_trace_in_the_story_of_a_cluster() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    before = story.coordinator.story
    story.say(A, said(A, 5, 0))
    assert story.coordinator.story == before
