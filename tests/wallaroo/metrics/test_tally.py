"""Counts of known inputs: filters, fan-outs, failures, shared states, on one worker and three."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wallaroo
from tests.wallaroo.operators.mesh import (
    Mesh,
    application,
    decode_text,
    payloads,
    tcp_sink,
    tcp_source_at,
)
from wallaroo.metrics.tally import Counts, add_counts
from wallaroo.operators.batches import BatchFormat
from wallaroo.topology.plan import Application

SINK = "tcp sink to 127.0.0.1:7002"


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str | None:
    if payload == b"torn":
        raise ValueError("torn")
    return None if payload.startswith(b"#") else payload.decode()


@wallaroo.computation("check")
def check(text: str) -> str | None:
    if text == "bad":
        raise ValueError("bad")
    return None if text == "skip" else text


@wallaroo.computation_multi("split")
def split(text: str) -> Any:
    if text == "none":
        return None
    if text == "wrong":
        return 5
    return [None if part == "-" else part for part in text.split("+") if part]


@wallaroo.partition
def by_word(word: str) -> Any:
    return 1.5 if word == "keyless" else word


@wallaroo.state_computation("count")
def count(word: str, seen: Counter[str]) -> tuple[str | None, bool]:
    seen[word] += 1
    return (None if word == "silent" else f"{word} {seen[word]}"), True


@wallaroo.encoder
def encode(line: str) -> bytes | None:
    if line.startswith("odd"):
        raise ValueError("odd")
    return None if line.startswith("quiet") else f"{line}\n".encode()


def everything() -> Application:
    builder = application(decoder=decode).to(check).to(split)
    builder.to_state_partition(count, Counter, "counts", by_word)
    return builder.to_sink(tcp_sink(encode)).build()


def totals(mesh: Mesh) -> Counts:
    total: Counts = {}
    for flow in mesh.flows.values():
        for counts in flow.counts().values():
            add_counts(total, counts)
    return total


INPUT = [
    "#comment", "torn", "bad", "skip", "none", "wrong", "+", "a", "a+b", "a+-+b", "-",
    "keyless+a", "silent", "odd+quiet+a",
]  # fmt: skip

EXPECTED = {
    # in, out, filtered, failed
    "p/source": [14, 12, 1, 1],
    "p/check": [12, 10, 1, 1],
    # none, + and wrong come to nothing; a 1, a+b 2, a+-+b 2, - 0, keyless+a 2, silent 1, odd… 3
    "p/split": [10, 11, 2, 1],
    "p/count": [11, 9, 1, 1],
    f"p/{SINK}": [9, 7, 1, 1],
}


@pytest.mark.parametrize("worker_count", [1, 2, 3])
@pytest.mark.parametrize("form", [BatchFormat.PAYLOADS, BatchFormat.OBJECTS, None])
@pytest.mark.parametrize("times", [1, 50])
def test_a_known_input_gives_known_counts(worker_count: int, form: BatchFormat, times: int) -> None:
    mesh = Mesh(everything(), worker_count, form=form)
    mesh.feed(payloads(INPUT * times))
    assert totals(mesh) == {
        node: [times * value for value in four] for node, four in EXPECTED.items()
    }
    assert len(mesh.lines()) == 7 * times
    assert len(mesh.failures()) == 5 * times


def test_each_worker_counts_what_came_to_it() -> None:
    mesh = Mesh(everything(), 3)
    mesh.feed(payloads(INPUT), worker=1)
    by_worker = [flow.counts()[worker] for worker, flow in mesh.flows.items()]
    assert [counts["p/source"][0] for counts in by_worker] == [0, 14, 0]
    owned = [
        sum(sum(seen.values()) for seen in flow.states["counts"].values())
        for flow in mesh.flows.values()
    ]
    # The record without a key failed where it was.
    assert [counts["p/count"][0] for counts in by_worker] == [owned[0], owned[1] + 1, owned[2]]


def test_two_pipelines_that_share_a_state_count_apart() -> None:
    builder = application().to_state_partition(count, Counter, "counts", by_word)
    builder.to_sink(tcp_sink())
    builder.new_pipeline("q", tcp_source_at("7011", decode_text)).to_parallel(check)
    builder.to_state_partition(count, Counter, "counts", by_word).to_sinks(
        [tcp_sink(), tcp_sink(encode)]
    )
    mesh = Mesh(builder.build(), 3)
    mesh.feed(payloads("a b c silent"))
    mesh.feed(payloads("a b bad skip odd silent") * 10, pipeline=1)
    assert totals(mesh) == {
        "p/source": [4, 4, 0, 0],
        "p/count": [4, 3, 1, 0],
        f"p/{SINK}": [3, 3, 0, 0],
        "q/source": [60, 60, 0, 0],
        "q/check": [60, 40, 10, 10],
        "q/count": [40, 30, 10, 0],
        f"q/{SINK}": [30, 30, 0, 0],
        f"q/{SINK}#2": [30, 20, 0, 10],
    }
    assert sum(sum(seen.values()) for seen in mesh.states("counts").values()) == 44


def test_steps_of_one_name_are_told_apart() -> None:
    plan = application().to(check).to(check).to_sink(tcp_sink()).build()
    mesh = Mesh(plan)
    mesh.feed(payloads("a b"))
    assert [*totals(mesh)] == ["p/source", "p/check", "p/check#2", f"p/{SINK}"]


def test_many_fan_outs_in_one_another_are_counted_too() -> None:
    @wallaroo.computation_multi("twice")
    def twice(word: str) -> list[str]:
        return [word, word]

    builder = application()
    for _ in range(7):
        builder.to(twice)
    mesh = Mesh(builder.to_sink(tcp_sink()).build())
    mesh.feed(payloads("a b c"))
    assert [four[0] for four in totals(mesh).values()] == [3 * 2**n for n in (0, *range(8))]


@given(st.lists(st.sampled_from(INPUT), max_size=60), st.integers(1, 4))
def test_what_leaves_a_step_comes_to_the_next(words: list[str], worker_count: int) -> None:
    mesh = Mesh(everything(), worker_count)
    mesh.feed(payloads(words))
    counted = [*totals(mesh).values()]
    assert counted[0][0] == len(words)
    for before, after in itertools.pairwise(counted):
        assert before[1] == after[0]
    for node, (came, left, filtered, failed) in totals(mesh).items():
        assert min(came, left, filtered, failed) >= 0
        if node != "p/split":
            assert came == left + filtered + failed
    assert counted[-1][1] == len(mesh.lines())
    assert sum(four[3] for four in counted) == len(mesh.failures())


def test_watched_records_run_and_count_like_all_others() -> None:
    plain, watched = Mesh(everything()), Mesh(everything())
    [flow] = watched.flows.values()
    for words in (INPUT, INPUT * 10):
        plain.feed(payloads(words))
        flow.run_source(0, payloads(words), is_watched=True)
        watched.settle()
    assert watched.lines() == plain.lines()
    assert totals(watched) == totals(plain)
    assert [failure.traceback for failure in watched.failures()] == [
        failure.traceback for failure in plain.failures()
    ]
    assert flow.probe is not None
    times, _, keys = flow.probe.take()
    assert [len(each) for each in times] != [0] * len(times)
    assert set(keys["counts"]) <= {"a", "b", "silent", "odd", "quiet"}
    assert keys["counts"]
    assert flow.probe.take() == ([[]] * len(times), [0] * len(times), {"counts": []})
