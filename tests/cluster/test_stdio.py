"""Pipes: lines of the standard input in, results on the standard output."""

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.harness import (
    COMMANDS,
    application_options,
    wait_until,
)

pytestmark = pytest.mark.cluster

WORDS = ["ab", "ra", "ca", "dab", "ra"] * 2000


def counted(words: list[str]) -> set[str]:
    seen: Counter[str] = Counter()
    return {f"{word} {(seen.update([word]), seen[word])[1]}" for word in words}


def piped(folder: Path, data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(COMMANDS / "wallaroo-run"), *application_options("piped"), *options],
        cwd=folder,
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--workers", "3"), ("--resilience-dir", "store")])
def test_a_run_ends_with_its_standard_input(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = "\n".join(WORDS).encode()  # the last line has no end
    ended = piped(tmp_path, data, *options)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.decode().splitlines()
    assert len(lines) == len(WORDS)
    assert {*lines} == counted(WORDS)


def test_other_hosts_are_refused_since_they_do_not_have_it(tmp_path: Path) -> None:
    agents = ("--expect-workers", "1", "--control", "127.0.0.1:0")
    (tmp_path / "secret").write_text("a secret of many letters and 1234567890\n")
    (tmp_path / "secret").chmod(0o600)
    ended = piped(tmp_path, b"", *agents, "--secret-file", "secret")
    assert ended.returncode == 2
    assert b"reads the standard input of wallaroo-run" in ended.stderr


def test_a_worker_that_is_started_again_reads_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    with open(tmp_path / "out", "wb") as out:
        command = [str(COMMANDS / "wallaroo-run"), *application_options("piped")]
        options = ("--resilience-dir", "store", "--control", "127.0.0.1:0")
        process = subprocess.Popen(
            [*command, *options], cwd=tmp_path, stdin=read, stdout=out, stderr=subprocess.PIPE
        )
    os.close(read)
    try:
        os.write(write, b"ab\nab\n")
        wait_until("two are counted", lambda: b"ab 2" in (tmp_path / "out").read_bytes())
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until("another one runs", lambda: children(process.pid) not in ([], [worker]))
        os.write(write, b"ab\n")
        os.close(write)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert (tmp_path / "out").read_bytes().endswith(b"ab 3\n")


def test_the_run_ends_when_its_reader_does(tmp_path: Path) -> None:
    command = [str(COMMANDS / "wallaroo-run"), *application_options("piped")]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        input=b"ab\nra\n",
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert ended.returncode == 1
    assert b"Error: the sink 'stdout' cannot go on: the standard output is closed" in ended.stderr
    assert b"hint: start again with a reader" in ended.stderr


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
