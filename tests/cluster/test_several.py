"""What applications may have: several pipelines, generators, a form and arguments of their own."""

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import (
    EXAMPLES,
    Receiver,
    framed,
    lines_of,
    memory_peak_mb,
    running,
    send_bytes,
    send_file,
    wait_until,
)

pytestmark = pytest.mark.cluster

KEYS = [f"k{number}" for number in range(20)]


def payloads(number: int, count: int) -> bytes:
    """A record with this number for each key in turn, so many for each."""
    return framed(*(f"{key} {number}".encode() for key in KEYS)) * count


def arguments(sinks: list[Receiver], worker_count: int, source_count: int = 1) -> tuple[str, ...]:
    sources = ",".join(["127.0.0.1:0"] * source_count)
    where = ("--in", sources, "--out", ",".join(sink.address for sink in sinks))
    return (*where, "--workers", str(worker_count))


# Several pipelines


@pytest.mark.parametrize("worker_count", [1, 3])
def test_two_pipelines_share_a_state_and_each_feeds_its_own_sink(
    tmp_path: Path, worker_count: int
) -> None:
    sinks = [Receiver(), Receiver()]
    options = arguments(sinks, worker_count, source_count=2)
    with running(tmp_path, "two_pipelines", *options) as cluster:
        ready = cluster.wait_ready()
        assert [source["pipeline"] for source in ready["sources"]] == ["pipeline 0", "pipeline 1"]
        send_bytes(cluster.source_port(0), payloads(1, 300))
        # The totals must go on where the first pipeline leaves them.
        wait_until("the first sink has all", lambda: sinks[0].line_count() == 300 * len(KEYS))
        send_bytes(cluster.source_port(1), payloads(1000, 200))
        assert cluster.stop() == 0
    first, second = (lines_of(sink.finish()) for sink in sinks)
    assert first == Counter(f"{key} {n}".encode() for key in KEYS for n in range(1, 301))
    assert second == Counter(
        f"second: {key} {300 + 1000 * n}".encode() for key in KEYS for n in range(1, 201)
    )


@pytest.mark.parametrize("worker_count", [1, 3])
def test_each_result_goes_to_every_sink_as_that_sink_encodes_it(
    tmp_path: Path, worker_count: int
) -> None:
    sinks = [Receiver(), Receiver()]
    with running(tmp_path, "two_sinks", *arguments(sinks, worker_count)) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), payloads(1, 500))
        assert cluster.stop() == 0
    first, second = (lines_of(sink.finish()) for sink in sinks)
    assert first == Counter(f"{key} {n}".encode() for key in KEYS for n in range(1, 501))
    assert second == Counter({key.encode(): 250 for key in KEYS})


# Generators


def numbers_and_counts(last: int) -> Counter[bytes]:
    """Each number, and how many of the numbers up to it leave the same rest."""
    return Counter(b"%d %d" % (number, (number - 1) // 7 + 1) for number in range(1, last + 1))


def test_a_generator_runs_once_in_the_cluster(tmp_path: Path) -> None:
    sink = Receiver()
    options = ("--out", sink.address, "--workers", "3", "--last", "50000", "--width", "0")
    with running(tmp_path, "numbers_made", *options) as cluster:
        ready = cluster.wait_ready()
        assert ready["sources"] == []
        assert [worker["name"] for worker in ready["workers"]] == ["w1", "w2", "w3"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", ready["control"])
        cluster.wait_event("source.finished")
        assert cluster.stop() == 0
    assert len(cluster.events("source.finished")) == 1
    assert lines_of(sink.finish()) == numbers_and_counts(50_000)


def test_a_generator_pauses_while_the_sink_stands_still_and_loses_nothing(tmp_path: Path) -> None:
    sink = Receiver(kernel_bytes_max=1 << 16)
    sink.may_read.clear()
    options = ("--out", sink.address, "--workers", "3", "--last", str(10**9), "--width", "1000")
    with running(tmp_path, "numbers_made", *options) as cluster:
        cluster.wait_ready()
        assert paused_at(tmp_path / "progress") < 200_000
        assert max(memory_peak_mb(pid) for pid in cluster.pids()) < 150
        sink.may_read.set()
        assert cluster.stop() == 0
    record_count = cluster.events("cluster.drained")[0]["record_count"]
    lines = Counter(line.rstrip() for line in lines_of(sink.finish()).elements())
    assert lines == numbers_and_counts(record_count)


def paused_at(progress: Path, still_s: float = 2.0) -> int:
    """How far the generator has come, once that has stood still for a while."""
    text, since = "", time.monotonic()

    def stands_still() -> bool:
        nonlocal text, since
        now = progress.read_text() if progress.exists() else ""
        # A read may find the file between its two halves of being written: empty.
        if now and now != text:
            text, since = now, time.monotonic()
        return bool(text) and time.monotonic() - since > still_s

    wait_until("the generator pauses", stands_still)
    return int(text)


# What travels between workers


@pytest.mark.parametrize(
    ("worker_count", "exchange", "travels_as_object"),
    [(3, "objects", True), (3, "auto", False), (1, "objects", False)],
)
def test_records_travel_in_the_form_of_the_application(
    tmp_path: Path, worker_count: int, exchange: str, travels_as_object: bool
) -> None:
    sink = Receiver()
    options = (*arguments([sink], worker_count), "--exchange", exchange)
    with running(tmp_path, "own_serialization", *options) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), payloads(1, 100))
        assert cluster.stop() == 0
    lines = [line.split() for line in lines_of(sink.finish()).elements()]
    totals = Counter(key + b" " + total for key, total, _ in lines)
    assert totals == Counter(f"{key} {n}".encode() for key in KEYS for n in range(1, 101))
    # One worker got the connection; it owns some of the keys, and the others travel.
    places = {b"here", b"elsewhere"} if travels_as_object else {b"here"}
    assert {place for _, _, place in lines} == places


def test_objects_and_payloads_give_the_same_results() -> None:
    outputs = []
    for exchange in ("auto", "objects"):
        sink = Receiver()
        options = (*arguments([sink], 3), "--exchange", exchange)
        with running(EXAMPLES / "alphabet", "alphabet", *options) as cluster:
            cluster.wait_ready()
            votes = EXAMPLES / "alphabet" / "votes.bin"
            send_file(cluster.source_port(), votes, "--binary", "--msg-size", "9")
            assert cluster.stop() == 0
        outputs.append(lines_of(sink.finish()))
    assert outputs[0] == outputs[1]
    assert outputs[0].total() == 10_000


# Where the application comes from, and its arguments


def test_a_module_of_another_folder_gets_its_arguments_in_order_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, told = tmp_path / "here", tmp_path / "told"
    here.mkdir()
    told.mkdir()
    monkeypatch.setenv("ARGUMENTS_FOLDER", str(told))
    sink = Receiver()
    first = ["--in=127.0.0.1:0", "--depth", "3", "-q"]
    ours = ["--workers", "2"]
    second = ["--title=a b", "--flag", "one", f"--out={sink.address}", "two"]
    # Behind "--" nothing is ours, whatever it looks like.
    third = ["-x", "--workers"]
    with running(here, "arguments", *first, *ours, *second, "--", *third) as cluster:
        cluster.wait_ready()
        pids = cluster.pids()
        send_bytes(cluster.source_port(), payloads(2, 5))
        assert cluster.stop() == 0
    assert lines_of(sink.finish()) == Counter(
        f"{key} {2 * n}".encode() for key in KEYS for n in range(1, 6)
    )
    heard: dict[int, Any] = {int(p.stem): json.loads(p.read_text()) for p in told.iterdir()}
    assert sorted(heard) == sorted(pids)
    for program, *arguments_heard in heard.values():
        assert Path(program).name == "wallaroo-run"
        assert arguments_heard == [*first, *second, *third]
