"""What a supervisor reads of the hosts that a run wants."""

import fcntl
import json
import os

import pytest

from wallaroo.errors import ConfigError
from wallaroo_workers.initializer.placement.host_reports import HostReports

PIPE_BYTES = 4096
PART_BYTES = 25


def counts(wanted: int) -> dict[str, object]:
    return {"wanted": wanted, "here": 1, "standby": 0, "absent": ["w2"]}


def test_each_change_is_one_line() -> None:
    reads, writes = os.pipe()
    reports = HostReports(writes)
    for wanted in (1, 1, 2):
        reports.report(counts(wanted))
    lines = os.read(reads, PIPE_BYTES).splitlines()
    assert [json.loads(line) for line in lines] == [counts(1), counts(2)]
    os.close(reads)
    os.close(writes)


def test_a_supervisor_that_does_not_read_gets_the_newest_numbers_later() -> None:
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(writes, b" " * PIPE_BYTES)
    reports = HostReports(writes)
    reports.report(counts(1))
    assert os.read(reads, PIPE_BYTES).strip() == b""
    reports.report(counts(2))
    assert json.loads(os.read(reads, PIPE_BYTES)) == counts(2)
    os.close(reads)
    os.close(writes)


def test_a_line_that_the_pipe_took_in_part_is_finished_before_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    got = b""

    def write(_: int, data: bytes) -> int:
        nonlocal got
        taken = data[:PART_BYTES]
        got += taken
        return len(taken)

    reads, writes = os.pipe()
    reports = HostReports(writes)
    monkeypatch.setattr(os, "write", write)
    reports.report(counts(1))
    assert len(got) == PART_BYTES
    for wanted in (1, 2, 3, 3, 3, 3, 3, 3):
        reports.report(counts(wanted))
    wanted_lines = [json.loads(line)["wanted"] for line in got.splitlines()]
    assert wanted_lines[0] == 1
    assert wanted_lines[-1] == 3, "the newest numbers are the last line"
    assert wanted_lines == sorted(set(wanted_lines))
    os.close(reads)
    os.close(writes)


def test_a_supervisor_that_has_ended_ends_nothing() -> None:
    reads, writes = os.pipe()
    reports = HostReports(writes)
    os.close(reads)
    reports.report(counts(1))
    reports.report(counts(2))
    os.close(writes)


def test_a_descriptor_that_is_not_open_is_named() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    os.close(writes)
    with pytest.raises(ConfigError, match=f"--homes-fd: descriptor {writes} cannot be used"):
        HostReports(writes)
