"""The log of a process: its level can change while it runs, and its last lines can be asked for."""

import json
import subprocess
import sys
import textwrap
from typing import Any

CODE = """
import logging
import structlog
from wallaroo_workers.logs import RECENT_LINES, configure_logs, recent_lines, set_log_level

log = structlog.get_logger()
configure_logs("w1")
log.debug("too early")
set_log_level(logging.DEBUG)
log.debug("in detail", key=("eu", 7), count=3)
logging.getLogger("application.mine").debug("from the %s", "library", extra={"order": 5})
set_log_level(logging.ERROR)
log.warning("not told")
logging.getLogger("application.mine").warning("not told")
set_log_level(logging.INFO)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("query.failed", text="x" * 5000)
first = recent_lines()
for number in range(RECENT_LINES):
    log.info("line", number=number)
import json
print(json.dumps([first, recent_lines()]))
"""


def test_the_last_lines_are_remembered_at_the_level_of_the_moment() -> None:
    # In a process of its own: the configuration is one for each process.
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CODE)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    first: list[dict[str, Any]]
    first, last = json.loads(ended.stdout)
    assert [line["event"] for line in first] == ["in detail", "from the library", "query.failed"]
    detail, library, failed = first
    assert (detail["level"], detail["process"], detail["count"]) == ("debug", "w1", 3)
    assert detail["key"] == "['eu', 7]"
    assert (library["logger"], library["order"]) == ("application.mine", 5)
    assert failed["exception"] == "ZeroDivisionError('division by zero')"
    assert len(failed["text"]) == 2003
    assert [line["number"] for line in last] == list(range(200))
    shown = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert shown[:3] == [line["event"] for line in first]
