"""What applications may have: several pipelines, generators, a form and arguments of their own."""

import json
import re
import textwrap
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

COMMON = """
import wallaroo


class Total:
    def __init__(self):
        self.total = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    key, number = payload.decode().split()
    return key, int(number)


@wallaroo.partition
def key_of(record):
    return record[0]


@wallaroo.state_computation("add")
def add(record, state):
    state.total += record[1]
    return (record[0], state.total), True


@wallaroo.encoder
def encode(record):
    return "%s %d\\n" % record
"""
KEYS = [f"k{number}" for number in range(20)]


def write_module(folder: Path, name: str, text: str, common: str = COMMON) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(common + textwrap.dedent(text))


def payloads(number: int, count: int) -> bytes:
    """A record with this number for each key in turn, so many for each."""
    return framed(*(f"{key} {number}".encode() for key in KEYS)) * count


def arguments(sinks: list[Receiver], worker_count: int, source_count: int = 1) -> tuple[str, ...]:
    sources = ",".join(["127.0.0.1:0"] * source_count)
    where = ("--in", sources, "--out", ",".join(sink.address for sink in sinks))
    return (*where, "--workers", str(worker_count))


# Several pipelines

TWO_PIPELINES = """
@wallaroo.encoder
def encode_second(record):
    return "second: %s %d\\n" % record


def application_setup(args):
    sources = wallaroo.tcp_parse_input_addrs(args)
    first, second = wallaroo.tcp_parse_output_addrs(args)
    builder = wallaroo.ApplicationBuilder("two pipelines")
    sinks = [
        wallaroo.TCPSinkConfig(*first, encode),
        wallaroo.TCPSinkConfig(*second, encode_second),
    ]
    for number, sink in enumerate(sinks):
        source = wallaroo.TCPSourceConfig(*sources[number], decode)
        builder.new_pipeline(f"pipeline {number}", source)
        builder.to_state_partition(add, Total, "totals", key_of)
        builder.to_sink(sink)
    return builder.build()
"""


@pytest.mark.parametrize("worker_count", [1, 3])
def test_two_pipelines_share_a_state_and_each_feeds_its_own_sink(
    tmp_path: Path, worker_count: int
) -> None:
    write_module(tmp_path, "two_pipelines", TWO_PIPELINES)
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


TO_SINKS = """
@wallaroo.encoder
def encode_short(record):
    return None if record[1] % 2 else "%s\\n" % record[0]


def application_setup(args):
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    first, second = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("to sinks")
        .new_pipeline("numbers", wallaroo.TCPSourceConfig(*source, decode))
        .to_state_partition(add, Total, "totals", key_of)
        .to_sinks(
            [wallaroo.TCPSinkConfig(*first, encode), wallaroo.TCPSinkConfig(*second, encode_short)]
        )
        .build()
    )
"""


@pytest.mark.parametrize("worker_count", [1, 3])
def test_each_result_goes_to_every_sink_as_that_sink_encodes_it(
    tmp_path: Path, worker_count: int
) -> None:
    write_module(tmp_path, "to_sinks", TO_SINKS)
    sinks = [Receiver(), Receiver()]
    with running(tmp_path, "to_sinks", *arguments(sinks, worker_count)) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), payloads(1, 500))
        assert cluster.stop() == 0
    first, second = (lines_of(sink.finish()) for sink in sinks)
    assert first == Counter(f"{key} {n}".encode() for key in KEYS for n in range(1, 501))
    assert second == Counter({key.encode(): 250 for key in KEYS})


# Generators

GENERATOR = """
import pathlib
import sys

import wallaroo


class Numbers:
    def __init__(self, last):
        self.last = last

    def initial_value(self):
        return 1

    def apply(self, value):
        if value % 100 == 0:
            pathlib.Path("progress").write_text(str(value))
        return value + 1 if value < self.last else None


class Seen:
    def __init__(self):
        self.count = 0


@wallaroo.partition
def rest_of(number):
    return number % 7


@wallaroo.state_computation("count")
def count(number, seen):
    seen.count += 1
    return (number, seen.count), True


@wallaroo.encoder
def encode(record):
    return "%d %d" % record + " " * WIDTH + "\\n"


def application_setup(args):
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("generator")
        .new_pipeline("numbers", wallaroo.GenSourceConfig(Numbers(LAST)))
        .to_state_partition(count, Seen, "seen", rest_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
"""


def write_generator(folder: Path, *, last: int, width: int) -> None:
    write_module(folder, "generator", GENERATOR, common=f"LAST = {last}\nWIDTH = {width}\n")


def numbers_and_counts(last: int) -> Counter[bytes]:
    """Each number, and how many of the numbers up to it leave the same rest."""
    return Counter(b"%d %d" % (number, (number - 1) // 7 + 1) for number in range(1, last + 1))


def test_a_generator_runs_once_in_the_cluster(tmp_path: Path) -> None:
    write_generator(tmp_path, last=50_000, width=0)
    sink = Receiver()
    options = ("--out", sink.address, "--workers", "3")
    with running(tmp_path, "generator", *options) as cluster:
        ready = cluster.wait_ready()
        assert ready["sources"] == []
        assert [worker["name"] for worker in ready["workers"]] == ["w1", "w2", "w3"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", ready["control"])
        cluster.wait_event("source.finished")
        assert cluster.stop() == 0
    assert len(cluster.events("source.finished")) == 1
    assert lines_of(sink.finish()) == numbers_and_counts(50_000)


def test_a_generator_pauses_while_the_sink_stands_still_and_loses_nothing(tmp_path: Path) -> None:
    write_generator(tmp_path, last=10**9, width=1000)
    sink = Receiver(kernel_bytes_max=1 << 16)
    sink.may_read.clear()
    options = ("--out", sink.address, "--workers", "3")
    with running(tmp_path, "generator", *options) as cluster:
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

OWN_FORM = """
import json


class Vote:
    def __init__(self, key, number, came_from="here"):
        self.key = key
        self.number = number
        self.came_from = came_from

    def __reduce__(self):
        raise TypeError("this application has a form of its own")


def serialize(vote):
    return json.dumps([vote.key, vote.number]).encode()


def deserialize(data):
    return Vote(*json.loads(data), came_from="elsewhere")


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_vote(payload):
    key, number = payload.decode().split()
    return Vote(key, int(number))


@wallaroo.partition
def key_of_vote(vote):
    return vote.key


@wallaroo.state_computation("add votes")
def add_votes(vote, state):
    state.total += vote.number
    return (vote.key, state.total, vote.came_from), True


@wallaroo.encoder
def encode_total(record):
    return "%s %d %s\\n" % record


def application_setup(args):
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("own form")
        .new_pipeline("votes", wallaroo.TCPSourceConfig(*source, decode_vote))
        .to_state_partition(add_votes, Total, "totals", key_of_vote)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_total))
        .build()
    )
"""


@pytest.mark.parametrize(
    ("worker_count", "exchange", "travels_as_object"),
    [(3, "objects", True), (3, "auto", False), (1, "objects", False)],
)
def test_records_travel_in_the_form_of_the_application(
    tmp_path: Path, worker_count: int, exchange: str, travels_as_object: bool
) -> None:
    write_module(tmp_path, "own_form", OWN_FORM)
    sink = Receiver()
    options = (*arguments([sink], worker_count), "--exchange", exchange)
    with running(tmp_path, "own_form", *options) as cluster:
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


# Where the application comes from, and what it is told

ARGUMENTS = """
import json
import os
import pathlib


def application_setup(args):
    told = pathlib.Path(os.environ["TOLD_FOLDER"]) / f"{os.getpid()}.json"
    told.write_text(json.dumps(args))
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("arguments")
        .new_pipeline("numbers", wallaroo.TCPSourceConfig(*source, decode))
        .to_state_partition(add, Total, "totals", key_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
"""


def test_a_module_of_another_folder_gets_its_arguments_in_order_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path / "elsewhere", "arguments", ARGUMENTS)
    here, told = tmp_path / "here", tmp_path / "told"
    here.mkdir()
    told.mkdir()
    monkeypatch.setenv("TOLD_FOLDER", str(told))
    sink = Receiver()
    first = ["--in=127.0.0.1:0", "--depth", "3", "-q"]
    ours = ["--application-path", "../elsewhere", "--workers", "2"]
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
