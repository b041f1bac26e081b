"""Runs started from Python: scripts, event loops, threads, debuggers."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import wallaroo
from tests.cluster.harness import APPLICATIONS, wait_until
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.testing import TestSink, TestSource

pytestmark = pytest.mark.cluster

SCRIPT = APPLICATIONS / "in_python.py"


class Count:
    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, state: Count) -> tuple[tuple[str, int], bool]:
    if word == "interrupt":
        raise KeyboardInterrupt
    if word == "own process":
        return (word, os.getpid()), False
    state.value += 1
    return (word, state.value), True


def application(source: Any, sink: Any) -> wallaroo.Application:
    return (
        wallaroo.ApplicationBuilder("in python")
        .new_pipeline("words", source)
        .to_state_partition(count, Count, "counts", itself)
        .to_sink(sink)
        .build()
    )


def listening(sink: Any) -> wallaroo.Application:
    return application(wallaroo.TCPSourceConfig("127.0.0.1", 0, decode), sink)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_by(*command: Any, given: str = "") -> list[dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, *command],
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def test_a_script_runs_its_own_application() -> None:
    two, here, all_failed, stopped, in_loop, handler, blocked = said_by(SCRIPT)
    counts = [["a", 1], ["a", 2], ["a", 3], ["b", 1], ["c", 1]]
    expected = {"counts": counts, "are_ours": True, "records": 6}
    assert two == here == expected | {"failures": ["ValueError: not a word"]}
    assert all_failed["error"] == "every record of pipeline 'words' failed"
    assert all_failed["status"] == 4
    assert stopped["error"].startswith("step 'count' of pipeline 'words' failed")
    assert stopped["status"] == 1
    assert "running event loop" in in_loop["error"]
    assert "async with wallaroo.start" in in_loop["hint"]
    assert handler == {"handler": True}
    assert blocked == {"blocked": []}


def test_the_debugger_can_be_left() -> None:
    ended = subprocess.run(
        [sys.executable, SCRIPT, "debug"],
        input="p word\nquit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "'break'" in ended.stdout
    assert ended.stderr.rstrip().endswith("bdb.BdbQuit")


UNGUARDED = APPLICATIONS / "unguarded.py"


def last_lines_of(*command: Any) -> str:
    """Return the error that ends a command, with its hint."""
    ended = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "\n".join(ended.stderr.rstrip().splitlines()[-2:])


def test_a_script_has_to_guard_the_call() -> None:
    assert last_lines_of(UNGUARDED, 1) == (
        "wallaroo.errors.ConfigError: the module 'unguarded' starts a run when it is imported, and "
        "every worker imports it\n"
        'hint: put the call under `if __name__ == "__main__":`'
    )


def test_code_without_a_file_runs_in_this_process_only() -> None:
    said = last_lines_of("-c", UNGUARDED.read_text(), 1)
    assert "workers cannot import the function <lambda> at <string>" in said
    assert "of step 'c'" in said
    assert last_lines_of("-c", UNGUARDED.read_text(), 0) == ""


def test_records_come_back_in_their_order_and_from_each_worker() -> None:
    words, sink = [f"word {number % 7}" for number in range(5_000)], TestSink()
    result = wallaroo.run(application(TestSource(words), sink), workers=2)
    assert result.record_count == 5_000
    for word in {*words}:
        counts = [value for each, value in sink.records if each == word]
        assert counts == [*range(1, len(counts) + 1)]


def test_with_no_worker_everything_is_in_this_process() -> None:
    sink = TestSink()
    wallaroo.run(application(TestSource(["own process"]), sink), workers=0)
    assert sink.records == [("own process", os.getpid())]


def test_another_run_begins_with_an_empty_sink() -> None:
    sink = TestSink()
    for _ in range(2):
        wallaroo.run(application(TestSource(["a"]), sink), workers=0)
        assert sink.records == [("a", 1)]


def test_a_run_goes_on_from_its_checkpoint(folder: Path) -> None:
    sink, words = TestSink(), ["a", "a", "b"]
    for checked in (words, [*words, "a"]):
        plan = application(TestSource(checked), sink)
        wallaroo.run(plan, workers=1, resilience_dir=folder / "checkpoints")
    assert sink.records == [("a", 3)]


def test_ctrl_c_in_user_code_ends_a_run_in_this_process() -> None:
    with pytest.raises(KeyboardInterrupt):
        wallaroo.run(application(TestSource(["a", "interrupt"]), TestSink()), workers=0)


def test_ctrl_c_ends_the_workers_and_is_raised(folder: Path) -> None:
    command = [sys.executable, str(SCRIPT), "listen"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until("it is ready", lambda: (folder / "ready.json").exists())
    pids = [each["pid"] for each in json.loads((folder / "ready.json").read_text())["workers"]]
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=30)
    assert started.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_a_cluster_can_be_controlled_while_it_runs(folder: Path) -> None:
    sink = TestSink()
    options: Any = {"resilience_dir": folder / "checkpoints", "checkpoint_interval": 60}
    async with wallaroo.start(listening(sink), workers=1, **options) as cluster:
        await send(cluster.sources["words"], "a", "b", "a")
        status = await cluster.status()
        assert [each["name"] for each in status["workers"]] == ["w1"]
        assert (await cluster.grow())["added"] == ["w2"]
        assert (await cluster.get("counts", "a"))["value"] == {"value": 2}
        assert (await cluster.checkpoint())["number"] >= 1
        assert (await cluster.shrink())["left"] == ["w2"]
        with pytest.raises(ClusterError, match="no key"):
            await cluster.get("counts", "nobody")
        with pytest.raises(ConfigError):
            await cluster.get("no such state", "a")
        assert (await cluster.stop())["stopped"] is True
        result = await cluster.ended()
    assert result.record_count == 3
    assert Counter(sink.records) == Counter([("a", 1), ("a", 2), ("b", 1)])
    with pytest.raises(ClusterError, match="stopped"):
        await cluster.status()


async def send(address: str, *words: str) -> None:
    """Send words; return when the worker has read them all."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    for word in words:
        writer.write(len(word).to_bytes(4, "big") + word.encode())
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_the_end_of_the_block_stops_the_cluster_in_order() -> None:
    sink = TestSink()
    async with wallaroo.start(listening(sink), workers=0) as cluster:
        await send(cluster.sources["words"], "a")
    assert sink.records == [("a", 1)]
    assert (await cluster.ended()).record_count == 1


async def test_an_error_in_the_block_ends_the_cluster_and_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        async with wallaroo.start(listening(TestSink()), workers=1) as cluster:
            raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError):
        await cluster.ended()


async def test_a_cluster_that_cannot_start_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = wallaroo.TCPSourceConfig("127.0.0.1", other.getsockname()[1], decode)
        with pytest.raises(ClusterError, match="a source cannot listen"):
            async with wallaroo.start(application(taken, TestSink()), workers=1):
                raise AssertionError("it has started")


async def test_a_run_that_ends_by_itself_gives_its_result() -> None:
    sink = TestSink()
    async with wallaroo.start(application(TestSource(["a"]), sink), workers=1) as cluster:
        assert (await cluster.ended()).record_count == 1
    assert sink.records == [("a", 1)]


def test_runs_in_several_threads_do_not_meet() -> None:
    sinks = [TestSink() for _ in range(2)]

    def work(sink: TestSink) -> None:
        wallaroo.run(application(TestSource(["a", "b"]), sink), workers=1)

    threads = [threading.Thread(target=work, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(sink.records) for sink in sinks] == [[("a", 1), ("b", 1)]] * 2


def test_lines_go_through_the_logging_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    handlers = [*logging.getLogger().handlers]
    with caplog.at_level(logging.INFO, logger="wallaroo"):
        plan = application(TestSource(["a"]), TestSink())
        wallaroo.run(plan, workers=0, log_level="info")
    assert logging.getLogger().handlers == handlers
    assert any(each.message.startswith("application.ready: ") for each in caplog.records)


def test_records_that_cannot_come_back_are_failures() -> None:
    plan = (
        wallaroo.ApplicationBuilder("unpicklable")
        .new_pipeline("words", TestSource(["a", "b"]))
        .to(made_unpicklable)
        .to_sink(TestSink("results"))
        .build()
    )
    result = wallaroo.run(plan, workers=1)
    (failure,) = result.failures
    assert failure.step == "sink results"
    assert "pickle" in failure.error


@wallaroo.computation("make unpicklable")
def made_unpicklable(word: str) -> Any:
    return word if word == "a" else (lambda: word)


def test_the_command_refuses_a_test_sink() -> None:
    command = [sys.executable, "-m", "wallaroo", str(SCRIPT), "--no-dashboard"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "gives its records to the program that calls wallaroo.run()" in ended.stderr


@pytest.mark.parametrize("given", [3, listening])
def test_anything_but_an_application_is_a_mistake(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"the application is an? "):
        wallaroo.run(given)
