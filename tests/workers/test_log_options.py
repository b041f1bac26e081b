"""One schema for all lines, in the form and from the level that were chosen."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
import structlog
from wallaroo_workers.logs import configure_logs, new_lines
configure_logs("w1", level=sys.argv[1], form=sys.argv[2])
log = structlog.get_logger()
log.debug("a.detail", n=1)
log.info("a.change", next="goes on")
log.warning("a.warning", error=ValueError("x"))
logging.getLogger("application.mine").info("a line of the application")
print([(line["level"], line["event"], line["fields"]) for line in new_lines()])
print(new_lines())
"""


def logged(level: str, form: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, level, form], capture_output=True, check=True, text=True
    )
    return done.stderr.splitlines(), done.stdout


@pytest.mark.parametrize("form", ["json", "auto"])
def test_lines_are_json_where_asked_and_where_nobody_sits_before_them(form: str) -> None:
    lines, _ = logged("info", form)
    values = [json.loads(line) for line in lines]
    assert [value["event"] for value in values] == [
        "a.change", "a.warning", "a line of the application",
    ]  # fmt: skip
    for value in values:
        assert [*value][:4] == ["timestamp", "level", "process", "event"]
        assert value["process"] == "w1"


def test_console_lines_are_for_people_and_without_colours_where_no_terminal_is() -> None:
    lines, _ = logged("info", "console")
    assert len(lines) == 3
    assert "a.change" in lines[0] and "next=goes on" in lines[0].replace("'", "")
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 1), ("error", 0)]
)
def test_less_important_lines_are_left_out(level: str, count: int) -> None:
    assert len(logged(level, "json")[0]) == count


def test_the_last_lines_are_kept_for_the_initializer() -> None:
    _, printed = logged("debug", "json")
    kept, emptied = printed.splitlines()
    assert kept == str(
        [
            ("info", "a.change", {"process": "w1", "next": "goes on"}),
            ("warning", "a.warning", {"process": "w1", "error": "ValueError('x')"}),
            (
                "info",
                "a line of the application",
                {"process": "w1", "logger": "application.mine"},
            ),
        ]
    )
    assert emptied == "[]"
