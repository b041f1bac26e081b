"""A station: calls for the records that wait at a step, and the order in which they leave."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from wallaroo.names import StepId
from wallaroo.runtime.calls import Call, Ended
from wallaroo.runtime.held import Failed, Held, WrongCountError
from wallaroo.runtime.station import Station
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Order, Runs, Waiting


class CallsByHand:
    """Calls that a test ends."""

    def __init__(self) -> None:
        self.open: list[tuple[Any, Ended]] = []
        self.started: list[Any] = []
        self.cancelled: list[Any] = []

    def start(
        self, step: Step, function: Callable[[Any], Any], argument: Any, ended: Ended, _: Call
    ) -> Callable[[], object]:
        self.started.append(argument)
        self.open.append((argument, ended))
        return lambda: self.cancelled.append(argument)

    def end(self, argument: Any, result: Any = None, error: BaseException | None = None) -> None:
        (found,) = [each for each in self.open if each[0] == argument]
        self.open.remove(found)
        found[1](result, error)


class Waited:
    """A station with its calls and a clock; it checks itself."""

    def __init__(self, function: Callable[[Any], Any] = lambda _: None, **options: Any) -> None:
        options.setdefault("runs", Runs.AS_TASK)
        options.setdefault("capacity", 100)
        options.setdefault("order", Order.ALL)
        self.now_s = 100.0
        self.calls = CallsByHand()
        step = Step(StepId(0), "ask", function, waiting=Waiting(**options))
        self.station = Station(step, lambda: function, self.calls, lambda: self.now_s)

    def enter(self, *records: Any) -> None:
        self.station.enter([(str(record)[0], record, None) for record in records])
        self.station.check()

    def end(self, argument: Any, result: Any = None, error: BaseException | None = None) -> None:
        self.calls.end(argument, result, error)
        self.station.check()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.station.wake()
        self.station.check()

    def leaving(self, count: int = 1000) -> list[Any]:
        taken = self.station.take(count)
        self.station.check()
        return [
            repr(held.outcome.error) if type(held.outcome) is Failed else held.outcome
            for held in taken
        ]

    def run_batches(self) -> list[Any]:
        while self.station.has_batch:
            self.station.run_batch()
            self.station.check()
        return self.leaving()


# Order


def test_results_leave_in_order_of_arrival() -> None:
    waited = Waited(order=Order.ALL)
    waited.enter("a1", "b1", "a2")
    waited.end("a2", "A2")
    waited.end("b1", "B1")
    assert waited.leaving() == []
    waited.end("a1", "A1")
    assert waited.leaving() == ["A1", "B1", "A2"]


def test_results_of_a_key_leave_in_order() -> None:
    waited = Waited(order=Order.KEY)
    waited.enter("a1", "b1", "a2")
    waited.end("a2", "A2")
    waited.end("b1", "B1")
    assert waited.leaving() == ["B1"]
    waited.end("a1", "A1")
    assert waited.leaving() == ["A1", "A2"]


def test_results_without_order_leave_as_they_come() -> None:
    waited = Waited(order=Order.NONE)
    waited.enter("a1", "b1", "a2")
    for record in ("a2", "b1", "a1"):
        waited.end(record, record.upper())
        assert waited.leaving() == [record.upper()]


def test_no_more_leave_than_are_asked_for() -> None:
    waited = Waited()
    waited.enter("a", "b", "c")
    for record in "abc":
        waited.end(record, record)
    assert waited.leaving(2) == ["a", "b"]
    assert waited.leaving(2) == ["c"]


# Capacity


def test_no_more_calls_than_the_capacity_are_under_way() -> None:
    waited = Waited(capacity=2, order=Order.NONE)
    waited.enter("a", "b", "c", "d")
    assert waited.calls.started == ["a", "b"]
    is_full = waited.station.is_full
    assert is_full
    waited.end("a", "A")
    # A result that has not left still takes its place.
    assert waited.calls.started == ["a", "b"]
    assert waited.leaving() == ["A"]
    assert waited.calls.started == ["a", "b", "c"]
    waited.end("b", "B")
    waited.end("c", "C")
    waited.leaving()
    assert not waited.station.is_full
    assert waited.calls.started[-1] == "d"


# Errors, retries and deadlines


def test_an_error_that_is_not_listed_is_the_outcome() -> None:
    waited = Waited(retries=3, retry_on=(OSError,), timeout_s=5)
    waited.enter("a")
    waited.end("a", error=ValueError("no"))
    assert waited.leaving() == ["ValueError('no')"]


def test_a_listed_error_is_tried_again_after_pauses_that_double() -> None:
    waited = Waited(retries=2, retry_on=(OSError,), timeout_s=5, backoff_s=0.1)
    waited.enter("a")
    waited.end("a", error=ConnectionError("1"))
    assert waited.calls.open == []
    assert waited.station.wake_s == pytest.approx(100.1)
    waited.wait(0.1)
    waited.end("a", error=ConnectionError("2"))
    waited.wait(0.19)
    assert waited.calls.open == []
    waited.wait(0.02)
    waited.end("a", error=ConnectionError("3"))
    assert waited.leaving() == ["ConnectionError('3')"]
    assert waited.calls.started == ["a"] * 3


def test_no_retry_begins_after_the_deadline() -> None:
    waited = Waited(retries=9, retry_on=(OSError,), timeout_s=1, backoff_s=0.4)
    waited.enter("a")
    waited.end("a", error=ConnectionError("1"))
    waited.wait(0.5)
    waited.end("a", error=ConnectionError("2"))
    assert waited.leaving() == ["ConnectionError('2')"]
    waited.wait(10)
    assert waited.calls.started == ["a", "a"]


def test_a_call_that_takes_too_long_is_cancelled_and_has_one_outcome() -> None:
    waited = Waited(timeout_s=2)
    waited.enter("a", "b")
    assert waited.station.wake_s == 102
    waited.wait(2)
    assert waited.calls.cancelled == ["a", "b"]
    assert waited.leaving() == ["TimeoutError('there was no answer within 2 s')"] * 2
    waited.end("a", "late")
    assert waited.leaving() == []
    assert waited.station.wake_s is None


def test_the_deadline_counts_from_the_first_attempt_and_not_from_arrival() -> None:
    waited = Waited(timeout_s=2, capacity=1)
    waited.enter("a", "b")
    waited.now_s += 1.5
    waited.end("a", "A")
    assert waited.leaving() == ["A"]
    waited.wait(1)
    assert waited.leaving() == []
    waited.wait(1.5)
    assert waited.leaving() == ["TimeoutError('there was no answer within 2 s')"]


def test_on_timeout_makes_the_result() -> None:
    def otherwise(record: str) -> str:
        if record == "b":
            raise ValueError(record)
        return f"no answer for {record}"

    waited = Waited(timeout_s=2, on_timeout=otherwise)
    waited.enter("a", "b")
    waited.wait(3)
    assert waited.leaving() == ["no answer for a", "ValueError('b')"]


# Batches


def doubled(numbers: list[int]) -> list[int]:
    return [number * 2 for number in numbers]


def test_a_batch_waits_for_its_size_or_for_its_time() -> None:
    waited = Waited(doubled, runs=Runs.AT_ONCE, batch_max=3, max_wait_s=0.5, capacity=0)
    waited.enter(1, 2)
    assert waited.run_batches() == []
    assert waited.station.wake_s == 100.5
    waited.enter(3, 4)
    assert waited.run_batches() == [2, 4, 6]
    waited.wait(0.5)
    assert waited.run_batches() == [8]


def test_a_batch_that_waits_for_nothing_takes_what_is_there() -> None:
    sizes: list[int] = []

    def noted(numbers: list[int]) -> list[int]:
        sizes.append(len(numbers))
        return numbers

    waited = Waited(noted, runs=Runs.AT_ONCE, batch_max=3, capacity=0)
    waited.enter(1, 2, 3, 4)
    assert waited.run_batches() == [1, 2, 3, 4]
    assert sizes == [3, 1]


def test_a_flush_waits_for_no_more_records() -> None:
    waited = Waited(doubled, runs=Runs.AT_ONCE, batch_max=3, max_wait_s=9, capacity=0)
    waited.enter(1)
    waited.station.flush()
    assert waited.run_batches() == [2]
    waited.station.fill()
    waited.enter(1)
    assert waited.run_batches() == []


def test_one_bad_record_of_a_batch_fails_alone() -> None:
    def inverse(numbers: list[int]) -> list[float]:
        return [1 / number for number in numbers]

    waited = Waited(inverse, runs=Runs.AT_ONCE, batch_max=4, capacity=0)
    waited.enter(1, 0, 2)
    assert waited.run_batches() == [1.0, "ZeroDivisionError('division by zero')", 0.5]


def test_a_batch_function_may_change_its_list() -> None:
    def popping(numbers: list[int]) -> list[float]:
        results = []
        while numbers:
            results.append(1 / numbers.pop(0))
        return results

    waited = Waited(popping, runs=Runs.AT_ONCE, batch_max=3, capacity=0)
    waited.enter(1, 2, 4)
    assert waited.run_batches() == [1.0, 0.5, 0.25]
    waited.enter(1, 0, 2)
    assert waited.run_batches() == [1.0, "ZeroDivisionError('division by zero')", 0.5]


@pytest.mark.parametrize("runs", [Runs.AT_ONCE, Runs.IN_THREAD])
def test_another_number_of_results_fails_all_records_of_the_batch(runs: Runs) -> None:
    waited = Waited(lambda numbers: numbers[:1], runs=runs, batch_max=4, order=Order.ALL)
    waited.enter(1, 2, 3)
    if runs is Runs.AT_ONCE:
        waited.station.run_batch()
    else:
        waited.end([1, 2, 3], [1])
    sentence = (
        "the batch step returned 1 results for 3 records; return one for each, None to drop a "
        "record"
    )
    assert waited.leaving() == [repr(WrongCountError(sentence))] * 3


def test_what_is_no_list_of_results_fails_with_a_sentence() -> None:
    waited = Waited(lambda _: None, runs=Runs.AT_ONCE, batch_max=4, capacity=0)
    waited.enter(1)
    (failure,) = waited.run_batches()
    assert "returned NoneType for 1 records" in failure


@pytest.mark.parametrize("returned", ["ab", b"ab", {"a": 1, "b": 2}, {"a", "b"}])
def test_elements_without_the_meaning_of_results_fail_with_a_sentence(returned: object) -> None:
    waited = Waited(lambda _: returned, runs=Runs.AT_ONCE, batch_max=4, capacity=0)
    waited.enter(1, 2)
    failures = waited.run_batches()
    assert len(failures) == 2
    assert all(f"returned {type(returned).__name__} for 2 records" in each for each in failures)


def test_results_may_be_any_sequence() -> None:
    waited = Waited(tuple, runs=Runs.AT_ONCE, batch_max=4, capacity=0)
    waited.enter(1, 2)
    assert waited.run_batches() == [1, 2]


def test_a_thread_has_one_batch_at_a_time_and_the_next_one_gathers_meanwhile() -> None:
    waited = Waited(runs=Runs.IN_THREAD, batch_max=3, capacity=9)
    waited.enter(1)
    waited.enter(2)
    waited.enter(3)
    assert waited.calls.started == [[1]]
    waited.end([1], ["a"])
    assert waited.calls.started == [[1], [2, 3]]
    waited.end([2, 3], ["b", "c"])
    assert waited.leaving() == ["a", "b", "c"]


@pytest.mark.parametrize("runs", [Runs.IN_THREAD, Runs.AS_TASK])
def test_records_of_a_batch_that_failed_are_called_alone(runs: Runs) -> None:
    waited = Waited(runs=runs, batch_max=2, capacity=9)
    waited.enter(1, 2)
    waited.end([1, 2], error=ValueError("which?"))
    waited.end([1], ["one"])
    waited.end([2], error=ValueError("this"))
    assert waited.leaving() == ["one", "ValueError('this')"]


def test_a_batch_is_tried_again_as_a_whole_before_its_records_are_called_alone() -> None:
    waited = Waited(batch_max=2, capacity=9, retries=1, backoff_s=1, retry_on=(OSError,))
    waited.enter(1, 2)
    waited.end([1, 2], error=OSError("busy"))
    assert waited.calls.open == []
    waited.wait(1)
    waited.end([1, 2], error=OSError("busy"))
    waited.end([1], ["one"])
    waited.end([2], error=OSError("still"))
    waited.wait(1)
    waited.end([2], ["two"])
    assert waited.leaving() == ["one", "two"]


def test_a_batch_that_is_answered_when_it_is_tried_again_is_not_taken_apart() -> None:
    waited = Waited(batch_max=2, capacity=9, retries=1, backoff_s=1, retry_on=(OSError,))
    waited.enter(1, 2)
    waited.end([1, 2], error=OSError("busy"))
    waited.wait(1)
    waited.end([1, 2], ["one", "two"])
    assert waited.calls.started == [[1, 2], [1, 2]]
    assert waited.leaving() == ["one", "two"]


# What checkpoints and resizes need


def test_all_records_that_have_not_left_are_pending() -> None:
    waited = Waited(capacity=2)
    waited.enter("a", "b", "c")
    waited.end("b", "B")
    assert [held.record for held in waited.station.pending] == ["a", "b", "c"]
    waited.end("a", "A")
    waited.leaving(1)
    assert [held.record for held in waited.station.pending] == ["b", "c"]


def test_a_record_is_pickled_without_its_outcome() -> None:
    held = Held("k", ["record"], b"payload", 7)
    held.outcome = lambda: None
    copy = pickle.loads(pickle.dumps(held))
    assert (copy.key, copy.record, copy.payload, copy.number) == ("k", ["record"], b"payload", 7)


@pytest.mark.parametrize("order", Order)
def test_records_that_are_not_kept_are_cancelled_and_do_not_leave(order: Order) -> None:
    waited = Waited(capacity=4, order=order)
    waited.enter("a1", "b1", "a2", "b2", "a3")
    waited.end("a1", "A1")
    waited.end("b1", "B1")
    kept = [held for held in waited.station.pending if held.key == "a"]
    waited.station.keep(kept)
    waited.station.check()
    assert waited.calls.cancelled == ["b2"]
    assert waited.calls.started[-1] == "a3"
    waited.end("b2", "too late")
    waited.end("a2", "A2")
    waited.end("a3", "A3")
    assert waited.leaving() == ["A1", "A2", "A3"]


def test_records_of_a_cancelled_batch_that_stay_are_called_again() -> None:
    waited = Waited(runs=Runs.IN_THREAD, batch_max=3, capacity=9)
    waited.enter("a", "b", "c")
    first, _, last = waited.station.pending
    waited.station.keep([first, last])
    waited.station.check()
    assert waited.calls.cancelled == [["a", "b", "c"]]
    assert waited.calls.started[-1] == ["a", "c"]


def test_records_that_are_new_enter_in_the_order_of_their_numbers() -> None:
    waited = Waited()
    waited.station.keep([Held("k", "second", None, 9), Held("k", "first", None, 3)])
    waited.station.check()
    assert waited.calls.started == ["first", "second"]


def test_closing_cancels_all_calls() -> None:
    waited = Waited()
    waited.enter("a", "b")
    waited.station.close()
    assert waited.calls.cancelled == ["a", "b"]


class AtOnce:
    """Calls that end before they have started."""

    def start(
        self, step: Step, function: Callable[[Any], Any], argument: Any, ended: Ended, _: Call
    ) -> Callable[[], object]:
        ended(argument, None)
        return lambda: None


def test_any_number_of_calls_may_end_as_soon_as_they_start() -> None:
    waiting = Waiting(runs=Runs.AS_TASK, capacity=10_000, order=Order.ALL, timeout_s=1)
    step = Step(StepId(0), "ask", len, waiting=waiting)
    station = Station(step, lambda: len, AtOnce(), lambda: 0.0)
    station.enter([(None, number, None) for number in range(10_000)])
    assert [held.outcome for held in station.take(20_000)] == [*range(10_000)]


# Times


def test_calls_and_waits_are_timed() -> None:
    waited = Waited(capacity=1)
    waited.enter("a", "b")
    waited.wait(2.0)
    waited.end("a", "A")
    assert waited.leaving() == ["A"]
    waited.wait(3.0)
    waited.end("b", "B")
    assert waited.leaving() == ["B"]
    calls, waits = waited.station.times.take()
    assert (calls.count, calls.total) == (2, 5_000_000_000)
    assert (waits.count, waits.total) == (2, 7_000_000_000)
    assert waited.station.times.take()[1].count == 0
