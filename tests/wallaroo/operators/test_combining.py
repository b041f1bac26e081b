"""Records that are combined before they cross an exchange give what they give one by one."""

import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wallaroo
from tests.simulation.windowed_applications import Record, at, decode, key_of, number_of
from tests.wallaroo.operators.mesh import Mesh, tcp_sink
from wallaroo import aggregate
from wallaroo.operators import combining
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.failures import StopOnError
from wallaroo.timing.instants import END
from wallaroo.topology.combining import combining_steps
from wallaroo.topology.plan import Application

MS = 1_000_000


@wallaroo.encoder
def encode(result: Any) -> str:
    if isinstance(result, wallaroo.Result) and isinstance(result.value, set):
        result = result._replace(value=sorted(result.value))
    return f"{result!r}\n"


class Total:
    def __init__(self) -> None:
        self.value = 0


def both(one: Total, other: Total) -> Total:
    total = Total()
    total.value = one.value + other.value
    return total


@wallaroo.aggregation(
    "total",
    initial=Total,
    merge=both,
    output=lambda key, total, window: (key, total.value, window.end),
    commutative=True,
)
def total(record: Record, so_far: Total) -> Total:
    """Change the accumulator itself, as a class does."""
    if record[2] == 13:
        raise ValueError("13")
    so_far.value += record[2]
    return so_far


def tumbling() -> Any:
    return wallaroo.tumbling(wallaroo.milliseconds(100))


def sliding() -> Any:
    return wallaroo.sliding(wallaroo.milliseconds(120), wallaroo.milliseconds(40))


def plan_of(window: Any) -> Application:
    time = wallaroo.event_time(at, out_of_order=wallaroo.milliseconds(50))
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, time=time)
    pipeline = wallaroo.source("in", source).key_by(key_of).to(window)
    return wallaroo.build_application("test", pipeline.to_sink(tcp_sink(encode)))


AGGREGATIONS: dict[str, Callable[[], Any]] = {
    "count": aggregate.count,
    "sum": lambda: aggregate.sum(number_of),
    "min": lambda: aggregate.min(number_of),
    "max": lambda: aggregate.max(number_of),
    "mean": lambda: aggregate.mean(number_of),
    "distinct": lambda: aggregate.distinct(number_of),
    "several": lambda: aggregate.several(a=aggregate.count(), b=aggregate.max(number_of)),
    "total": lambda: total,
}
WINDOWS: dict[str, Callable[[], Any]] = {
    "tumbling": tumbling,
    "sliding": sliding,
    "delayed": lambda: tumbling().with_delay(wallaroo.milliseconds(30)),
    "calendar": lambda: wallaroo.calendar("hour"),
    "early": lambda: sliding().early(every=wallaroo.milliseconds(20)),
}

Patch = pytest.MonkeyPatch


class Run:
    """A run of some workers: what they were fed with, and the results."""

    def __init__(self, plan: Application, workers: int, **options: Any) -> None:
        self.mesh = Mesh(plan, workers, **options)

    @property
    def forms(self) -> set[BatchFormat]:
        return {sent.form for sent in self.mesh.carried}

    def feed(self, records: list[Record]) -> None:
        self.mesh.feed([f"{key}:{time}:{value}".encode() for key, time, value in records])

    def advance(self, clock: int) -> None:
        for flow in self.mesh.flows.values():
            assert flow.timed is not None
            (name,) = flow.timed.names
            flow.timed.advance(name, clock)
            while flow.timed.fire_some(7):
                pass
        self.mesh.settle()

    def seen(self) -> Any:
        """Return results, failures, and counts of everything."""
        failures = [(each.step, each.key, each.error) for each in self.mesh.failures()]
        late = sum(flow.timed.figures(flow.timed.names[0]).late_count
                   for flow in self.mesh.flows.values() if flow.timed is not None)  # fmt: skip
        counts: dict[str, list[int]] = {}
        for flow in self.mesh.flows.values():
            for nodes in flow.counts().values():
                for node, values in nodes.items():
                    so_far = counts.get(node, [0, 0, 0, 0])
                    counts[node] = [a + b for a, b in zip(so_far, values, strict=True)]
        return sorted(self.mesh.lines()), sorted(failures), late, counts


def always(patch: Patch) -> None:
    patch.setattr(combining, "RECORDS_MIN", 1)
    patch.setattr(combining, "TURNS_BETWEEN", 0)
    patch.setattr(combining, "WORTH", 2.0)


# A record whose update fails is a failure where it is combined, before its owner finds it late.
records = st.tuples(st.sampled_from("abcdefg"), st.integers(-300, 600), st.integers(0, 12))
feeds = st.lists(
    st.tuples(st.lists(records, max_size=30), st.integers(0, 120)), min_size=2, max_size=5
)


@settings(deadline=None, max_examples=60)
@given(
    feeds=feeds,
    workers=st.integers(2, 4),
    window=st.sampled_from(sorted(WINDOWS)),
    aggregation=st.sampled_from(sorted(AGGREGATIONS)),
    form=st.sampled_from([BatchFormat.PAYLOADS, BatchFormat.OBJECTS]),
)
def test_combined_records_give_what_they_give_one_by_one(
    feeds: list[tuple[list[Record], int]],
    workers: int,
    window: str,
    aggregation: str,
    form: BatchFormat,
) -> None:
    def run() -> Any:
        plan = plan_of(WINDOWS[window]().over(AGGREGATIONS[aggregation]()))
        this = Run(plan, workers, form=form)
        clock = 0
        for fed, step in feeds:
            this.feed(fed)
            clock += step * MS
            this.advance(clock)
        this.advance(END)
        return this.seen()

    one_by_one = run()
    with Patch.context() as patch:
        always(patch)
        assert run() == one_by_one


def test_accumulators_travel_once_few_keys_have_all_records() -> None:
    this = Run(plan_of(tumbling().over(aggregate.count())), 3)
    few = [("abc"[number % 3], number % 100, 1) for number in range(3_000)]
    this.feed(few)
    assert this.forms == {BatchFormat.PAYLOADS}
    this.feed(few)
    # What is sent last belongs to the records that were read last.
    assert {sent.form for sent in this.mesh.carried[-3:]} == {BatchFormat.PARTIALS}
    assert this.mesh.carried[-1].record_count > 300
    this.advance(END)
    assert [eval(line, {"Result": tuple_of}) for line in sorted(this.mesh.lines())] == [
        (key, 2_000) for key in "abc"
    ]


def tuple_of(key: str, value: int, **_: Any) -> tuple[str, int]:
    return key, value


def test_records_travel_again_once_each_has_a_key_of_its_own() -> None:
    this = Run(plan_of(tumbling().over(aggregate.count())), 2)
    few = [("abcd"[number % 4], 5, 1) for number in range(2_000)]
    many = [(f"k{number}", 5, 1) for number in range(20_000)]
    this.feed(few)
    this.feed(many)
    this.feed(many)
    first, *_, before_last, last = [sent.form for sent in this.mesh.carried]
    assert (first, before_last, last) == (
        BatchFormat.PAYLOADS,
        BatchFormat.PAYLOADS,
        BatchFormat.PAYLOADS,
    )
    assert BatchFormat.PARTIALS in this.forms
    this.advance(END)
    assert len(this.mesh.lines()) == 20_004


def test_a_few_records_change_nothing() -> None:
    this = Run(plan_of(tumbling().over(aggregate.count())), 2)
    for _ in range(5):
        this.feed([("a", 1, 1), ("b", 1, 1)] * 20)
    assert BatchFormat.PARTIALS not in this.forms


def test_a_record_whose_update_fails_is_a_dead_letter_by_itself(monkeypatch: Patch) -> None:
    always(monkeypatch)
    this = Run(plan_of(tumbling().over(total)), 2)
    this.feed([("a", 1, 1)] * 4 + [("b", 1, 1)] * 4)
    this.mesh.failures()
    this.feed([(key, 1, value) for key in "abcdef" for value in (1, 13, 2)])
    failures = this.mesh.failures()
    assert BatchFormat.PARTIALS in this.forms
    assert {each.step for each in failures} == {"total"}
    assert sorted(str(each.key) for each in failures) == [*"abcdef"]
    assert all(each.record == "('a', 1, 13)".replace("a", str(each.key)) for each in failures)


class Odd:
    """How many records there are, which cannot travel after one with the value 13."""

    def __init__(self) -> None:
        self.count = 0
        self.breaks = ""

    def __reduce__(self) -> Any:
        if self.breaks == "writing":
            raise TypeError("cannot be written")
        return read_odd, (self.count, self.breaks)


def read_odd(count: int, breaks: str) -> Odd:
    if breaks:
        raise TypeError("cannot be read")
    return odd_of(count)


def odd_of(count: int, breaks: str = "") -> Odd:
    made = Odd()
    made.count, made.breaks = count, breaks
    return made


def merged_odd(one: Odd, other: Odd) -> Odd:
    return odd_of(one.count + other.count, one.breaks or other.breaks)


def odd_aggregation(breaks: str) -> Any:
    def update(record: Record, so_far: Odd) -> Odd:
        return odd_of(so_far.count + 1, breaks if record[2] == 13 else so_far.breaks)

    made = wallaroo.aggregation(
        "odd", initial=Odd, merge=merged_odd, output=lambda _, odd: odd.count, commutative=True
    )
    return made(update)


def counted(record: Record, so_far: Any) -> Any:
    so_far[record[0]] += 1
    return so_far


def merged_counts(one: Any, other: Any) -> Any:
    both = defaultdict(lambda: 0, one)
    for key, count in other.items():
        both[key] += count
    return both


UNSENDABLE: dict[str, Callable[[], Any]] = {
    "first accumulator": lambda: wallaroo.aggregation(
        "odd",
        initial=lambda: defaultdict(lambda: 0),
        merge=merged_counts,
        output=lambda key, counts: counts[key],
        commutative=True,
    )(counted),
    "writing": lambda: odd_aggregation("writing"),
    "reading": lambda: odd_aggregation("reading"),
}


@pytest.mark.parametrize("form", [BatchFormat.PAYLOADS, BatchFormat.OBJECTS])
@pytest.mark.parametrize("kind", sorted(UNSENDABLE))
def test_accumulators_that_cannot_travel_never_do(
    monkeypatch: Patch, kind: str, form: BatchFormat
) -> None:
    always(monkeypatch)
    this = Run(plan_of(tumbling().over(UNSENDABLE[kind]())), 2, form=form)
    for _ in range(3):
        this.feed([(key, 1, 13) for key in "aabbccddeeffgghh"])
    this.advance(END)
    assert this.forms == {form}
    assert this.mesh.failures() == []
    assert this.mesh.lines() == ["6"] * 8


@pytest.mark.parametrize("breaks", ["writing", "reading"])
def test_all_records_of_an_accumulator_that_is_lost_are_counted(
    monkeypatch: Patch, breaks: str
) -> None:
    always(monkeypatch)
    this = Run(plan_of(tumbling().over(odd_aggregation(breaks))), 2)
    this.feed([(key, 1, 1) for key in "abcdefgh"])
    for _ in range(2):
        # Of each key, each worker has three records.
        this.feed([(key, 1, 13 if key in "ab" else 1) for key in "abcdefgh" for _ in range(6)])
    failures = this.mesh.failures()
    assert BatchFormat.PARTIALS in this.forms
    assert {each.step for each in failures} == {"exchange before odd"}
    assert {each.key for each in failures} <= {"a", "b"}
    assert f"cannot be {'written' if breaks == 'writing' else 'read'}" in failures[0].error
    tallies = [flow.tally for flow in this.mesh.flows.values()]
    sent, received = (
        sum(sum(counts.values()) for counts in each)
        for each in ([tally.sent for tally in tallies], [tally.received for tally in tallies])
    )
    assert sent == received
    this.advance(END)
    _, _, _, counts = this.seen()
    failed = sum(values[3] for values in counts.values())
    assert failed == 3 * len(failures)
    assert sum(map(int, this.mesh.lines())) + failed == 8 + 2 * 48


def test_records_are_not_combined_if_the_application_says_how_they_travel() -> None:
    plan = plan_of(tumbling().over(aggregate.count()))
    assert len(combining_steps(plan)) == 1
    assert combining_steps(replace(plan, serialize=pickle.dumps, deserialize=pickle.loads)) == {}


def test_a_merge_that_fails_is_reported_by_its_window(monkeypatch: Patch) -> None:
    always(monkeypatch)

    def broken(one: int, other: int) -> int:
        raise RuntimeError("no merge")

    odd = wallaroo.aggregation("odd", initial=int, merge=broken, commutative=True)(
        lambda record, so_far: so_far + 1
    )
    this = Run(plan_of(tumbling().over(odd)), 2)
    for _ in range(3):
        this.feed([(key, 1, 1) for key in "aabbccdd"])
    assert this.mesh.failures() == []
    this.advance(END)
    failures = this.mesh.failures()
    assert {(each.step, each.error) for each in failures} == {("odd", "RuntimeError: no merge")}
    assert sorted(str(each.key) for each in failures) == [*"abcd"]


def test_a_pane_too_many_loses_all_records_of_it(monkeypatch: Patch) -> None:
    always(monkeypatch)
    this = Run(plan_of(tumbling().over(aggregate.count())), 2)
    this.feed([(key, 1, 1) for key in "abcdefgh"])
    for flow in this.mesh.flows.values():
        assert flow.timed is not None
        store: Any = flow.timed.stores["count"]
        store.windows._panes_max = 1
    this.feed([(key, 1, 1) for key in "abcdefgh"] + [("a", 950, 1)] * 4 + [("b", 950, 1)] * 2)
    failures = this.mesh.failures()
    assert all("panes of windows are open" in each.error for each in failures)
    _, _, _, counts = this.seen()
    # Each worker has combined two and one of them: there is a failure for each key.
    assert sorted((each.key, each.record) for each in failures) == [
        *[("a", "2")] * 2,
        *[("b", "1")] * 2,
    ]
    assert sum(values[3] for values in counts.values()) == 6


def test_a_failing_record_stops_the_run_if_that_is_asked_for(monkeypatch: Patch) -> None:
    always(monkeypatch)
    this = Run(plan_of(tumbling().over(total)), 2, stop_on_error=True)
    this.feed([("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("d", 1, 1)])
    with pytest.raises(StopOnError):
        this.feed([(key, 1, 13) for key in "abcdefgh"])


@pytest.mark.parametrize(
    "window",
    [
        tumbling().with_late_data_policy("side"),
        tumbling().with_late_data_policy("update").allow_late(wallaroo.seconds(1)),
        tumbling().with_late_data_policy("fire-per-message"),
        tumbling().with_late_data_policy("place-in-oldest-window"),
        tumbling().early(count=3),
        tumbling().until(lambda key, count: count > 5),
        wallaroo.session(wallaroo.seconds(1)),
        wallaroo.count_windows(3),
        wallaroo.global_window(),
    ],
    ids=["side", "update", "each late record", "oldest", "early", "until", "session", "count",
         "global"],
)  # fmt: skip
def test_windows_that_need_each_record_get_it(window: Any) -> None:
    assert combining_steps(plan_of(window.over(aggregate.count()))) == {}


@pytest.mark.parametrize("kept", [aggregate.first, aggregate.collect, aggregate.last])
def test_the_order_of_records_stays_if_it_matters(kept: Callable[[], Any]) -> None:
    assert combining_steps(plan_of(tumbling().over(kept()))) == {}
    several = aggregate.several(one=aggregate.count(), other=kept())
    assert combining_steps(plan_of(tumbling().over(several))) == {}


def test_a_step_between_exchange_and_windows_gets_each_record() -> None:
    time = wallaroo.event_time(at)
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, time=time)
    pipeline = wallaroo.source("in", source).key_by(key_of).filter(bool)
    ended = pipeline.to(tumbling().over(aggregate.count())).to_sink(tcp_sink(encode))
    assert combining_steps(wallaroo.build_application("test", ended)) == {}
