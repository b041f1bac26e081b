"""The guide's table of exit statuses is complete, and commands end with what it says."""

import re
import tomllib

import pytest

from tests.docs.pages import GUIDE, ROOT
from wallaroo import errors
from wallaroo.statuses import ExitStatus
from wallaroo_cli.entry import STATUS_INTERRUPTED
from wallaroo_cli.tools.running_clusters import NoClusterError
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST
from wallaroo_workers.worker import STATUS_BROKEN

ROW = re.compile(r"^\| (?P<command>[^|]+) \| (?P<status>\d+) \| (?P<when>[^|]+) \|$", re.MULTILINE)
ROWS = [
    (row["command"], int(row["status"]))
    for row in ROW.finditer((GUIDE / "statuses.md").read_text(encoding="utf-8"))
]

DONE, FAILED, MISTAKE = ExitStatus.DONE, ExitStatus.FAILED, ExitStatus.MISTAKE
STARTED_AGAIN = {ExitStatus.BROKEN, ExitStatus.STUCK}
EXPECTED = {
    "`wallaroo-run`": {*ExitStatus} - {ExitStatus.NO_CLUSTER, *STARTED_AGAIN},
    "`wallaroo-run --join`": {
        DONE, FAILED, MISTAKE, ExitStatus.NO_CLUSTER, ExitStatus.INTERRUPTED,
    },
    "`wallaroo-run`, the original's options": {DONE, FAILED, MISTAKE, ExitStatus.NO_CLUSTER},
    "`wallaroo-cluster`": {DONE, FAILED, MISTAKE, ExitStatus.NO_CLUSTER, ExitStatus.INTERRUPTED},
    "`wallaroo-checkpoints`": {DONE, FAILED, MISTAKE, ExitStatus.INTERRUPTED},
    "`wallaroo-dead-letters`": {
        DONE, FAILED, MISTAKE, ExitStatus.NO_CLUSTER, ExitStatus.INTERRUPTED,
    },
    "`wallaroo-sender`": {DONE, FAILED, MISTAKE, ExitStatus.INTERRUPTED},
    "`wallaroo-receiver`": {DONE, FAILED, MISTAKE},
    "a worker process": {DONE, FAILED, MISTAKE, ExitStatus.NO_CLUSTER, *STARTED_AGAIN},
}  # fmt: skip


def test_the_table_has_each_command_with_each_of_its_statuses_once() -> None:
    assert len(ROWS) == len(set(ROWS))
    found: dict[str, set[int]] = {}
    for command, status in ROWS:
        found.setdefault(command, set()).add(status)
    assert found == EXPECTED


def test_no_command_is_missing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for command, _ in ROWS for name in re.findall(r"`([\w-]+)", command)}
    assert named == set(project["scripts"])


@pytest.mark.parametrize(
    ("status", "constant"),
    [
        (1, errors.WallarooError.exit_code),
        (1, errors.ClusterError.exit_code),
        (2, errors.ConfigError.exit_code),
        (3, NoClusterError.exit_code),
        (3, STATUS_INITIALIZER_LOST),
        (4, ExitStatus.ALL_FAILED),
        (5, ExitStatus.TOO_MANY_FAILURES),
        (70, STATUS_BROKEN),
        (71, ExitStatus.STUCK),
        (130, ExitStatus.INTERRUPTED),
        (130, STATUS_INTERRUPTED),
    ],
)
def test_a_status_keeps_its_number(status: int, constant: int) -> None:
    assert constant == status
