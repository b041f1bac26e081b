"""Lines of the log with any values, under any configuration, to any stderr."""

import json
import os
import subprocess
import sys
from typing import Any

import msgpack
import pytest

from wallaroo_workers.log_output import LogOutput

PROGRAM = r"""
import logging, math, sys, structlog
from wallaroo_workers.logs import configure_logs, get_logger, new_lines
log = get_logger()
configure_logs("w1", form=sys.argv[1])

class Rude:
    def __repr__(self): sys.exit(3)
    __str__ = __repr__

class RudeError(Exception):
    def __str__(self): sys.exit(3)

users = logging.getLogger("application.mine")
values = {"n": 2**70, "nan": math.nan, "inf": -math.inf, "event": "mine", "level": "mine",
          "timestamp": None, "logger": "x", "rude": Rude(), "text": "\ud800",
          "deep": {"a": [math.nan, 2**70, {Rude(): 1}]}, "round": []}
values["round"].append(values["round"])
users.info("values", extra=values)
users.info(Rude())
users.info("%d", "no number")
try: raise RudeError
except RudeError: users.exception("failed")
structlog.get_logger().info("from structlog", level="mine", n=2**70)
structlog.configure(processors=[], logger_factory=None, wrapper_class=None)
structlog.contextvars.clear_contextvars()
structlog.contextvars.bind_contextvars(process="theirs")
logging.getLogger().handlers.clear()
logging.disable(logging.CRITICAL)
sys.stderr = None
log.info("ours", n=2**70, error=RudeError(), values=[math.inf])
log.error("ours failed", exc_info=RudeError())
import msgpack
print(msgpack.packb(new_lines()).hex())
"""


def logged(form: str) -> tuple[list[str], list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    kept = msgpack.unpackb(bytes.fromhex(done.stdout.decode().splitlines()[-1]))
    return done.stderr.decode().splitlines(), kept


def test_no_value_breaks_a_line_or_takes_the_place_of_what_every_line_has() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    lines, kept = logged("json")
    values = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [(value["level"], value["process"]) for value in values] == [
        *[("info", "w1")] * 3, ("error", "w1"), *[("info", "w1")] * 2, ("error", "w1"),
    ]  # fmt: skip
    first = values[0]
    assert (first["event"], first["extra_event"]) == ("values", "mine")
    assert (first["logger"], first["extra_logger"]) == ("application.mine", "x")
    assert (first["extra_level"], first["extra_timestamp"]) == ("mine", None)
    assert (first["n"], first["nan"]) == (str(2**70), "nan")
    assert values[4]["event"] == "from structlog"
    assert values[5]["event"] == "ours"
    assert kept[0]["event"] == "values"
    assert len(kept) == 7


def test_lines_for_people_are_written_all_the_same() -> None:
    lines, _ = logged("console")
    assert any("ours" in line for line in lines)


def read_all(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    data = b""
    try:
        while piece := os.read(descriptor, 1 << 16):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_lines_that_nobody_reads_are_dropped_and_counted() -> None:
    reading, writing = os.pipe()
    output = LogOutput(writing, lambda count: f"{count} dropped")
    for number in range(20):
        output.write(f"{number} " + "x" * 10_000)
    assert output.dropped_count > 5
    dropped = output.dropped_count
    data = read_all(reading)
    output.write("after")
    assert output.dropped_count == 0
    lines = (data + read_all(reading)).decode().splitlines()
    assert lines[-2:] == [f"{dropped} dropped", "after"]
    output.close()
    os.close(reading)
    os.close(writing)


def test_a_closed_pipe_drops_lines() -> None:
    reading, writing = os.pipe()
    output = LogOutput(writing, str)
    os.close(reading)
    output.write("lost")
    assert output.dropped_count == 1
    output.close()
    os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_drops_lines() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    output = LogOutput(full, str)
    output.write("lost")
    output.write("lost")
    assert output.dropped_count == 2
    output.close()
    os.close(full)


def test_without_stderr_nothing_is_written() -> None:
    output = LogOutput(987_654, str)
    output.write("nowhere")
    assert output.dropped_count == 0
    output.close()
