"""Options for a cluster on a home: what goes together, and what the processes there are given."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from wallaroo.errors import ConfigError
from wallaroo_cli.cluster import main as cluster_command
from wallaroo_cli.homes import home as home_module
from wallaroo_cli.homes.home import HomeRun
from wallaroo_cli.run import main as run_command

APPLICATIONS = Path(__file__).parents[2] / "cluster" / "applications"
ADDRESSES = ["--in", "0.0.0.0:7010", "--out", "10.0.0.1:7002"]


class FakeHome:
    """A home that notes what it is asked."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.runs: list[HomeRun] = []
        self.asked: list[tuple[str, dict[str, Any], bool]] = []

    def run(self, wanted: HomeRun) -> int:
        self.runs.append(wanted)
        return 4

    def ask(self, method: str, params: dict[str, Any], *, until_ended: bool) -> dict[str, Any]:
        self.asked.append((method, params, until_ended))
        return {"text": "3 apples"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHome]:
    shutil.copy(APPLICATIONS / "totals_by_tcp.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "totals_by_tcp", raising=False)
    fake = FakeHome()

    def named(text: str) -> FakeHome:
        fake.places.append(text)
        return fake

    monkeypatch.setattr(home_module, "home_named", named)
    yield fake


def run(*arguments: str) -> tuple[int, str]:
    command = ["totals_by_tcp.py", *ADDRESSES, *arguments]
    done = CliRunner().invoke(run_command, command)
    return done.exit_code, done.stderr


def test_a_home_gets_the_application_and_its_options(home: FakeHome, tmp_path: Path) -> None:
    status, _ = run(
        *("--on", "ray:new", "--hosts", "3", "--standby", "1", "--worker-cpus", "0.5"),
        *("--resilience-dir", "store", "--checkpoint-interval", "2", "--log-level", "debug"),
        *("--no-metrics", "--dead-letters", "letters", "--autoscale", "2:5"),
    )
    assert status == 4
    assert home.places == ["ray:new"]
    [wanted] = home.runs
    assert (wanted.plan.name, wanted.module, wanted.folder) == (
        "totals",
        "totals_by_tcp",
        str(tmp_path),
    )
    assert (wanted.options.host_count, wanted.host_count, wanted.standby) == (3, 4, 1)
    assert (wanted.options.worker_cpus, wanted.options.autoscale) == (0.5, (2, 5))
    assert sorted(wanted.initializer) == sorted(
        [
            "--log-format=json",
            f"--resilience-dir={tmp_path / 'store'}",
            "--checkpoint-interval=2.0",
            "--log-level=debug",
            "--no-metrics",
            f"--dead-letters={tmp_path / 'letters'}",
        ]
    )
    assert wanted.agent[:1] == ["--log-format=json"]
    assert sorted(wanted.agent[1:]) == [
        f"--dead-letters={tmp_path / 'letters'}",
        "--log-level=debug",
    ]
    assert wanted.arguments == ADDRESSES
    assert wanted.journals == str(tmp_path / "store" / "journals")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--hosts", "2"], "--hosts is for a cluster on a home, and --on is not given"),
        (["--on", "ray", "--workers", "2"], "--workers does not go together with --on"),
        (["--on", "ray", "--secret-file", "x"], "--secret-file does not go together with --on"),
        (["--on", "ray", "--join", "a:1"], "--join does not go together with --on"),
        (["--on", "ray", "--autoscale", "2"], "--autoscale '2' is not MIN:MAX"),
        (["--on", "ray", "--autoscale", "2:3"], "--autoscale 2:3 does not contain the 1 of"),
        (["--on", "ray", "--resilience-dir", "s3://a/b"], "'records' keeps a journal"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_starts(
    home: FakeHome, arguments: list[str], what: str
) -> None:
    status, said = run(*arguments)
    assert status == 2
    assert what in said
    assert "hint: " in said
    assert home.runs == []


@pytest.mark.parametrize("allowed", [["--allow-lost-input"], ["--journal-dir", "shared"]])
def test_a_journal_on_single_nodes_has_to_be_allowed_or_shared(
    home: FakeHome, allowed: list[str]
) -> None:
    status, _ = run("--on", "ray", "--resilience-dir", "s3://a/b", *allowed)
    assert status == 4
    assert [bool(each.journals) for each in home.runs] == [allowed[0] == "--journal-dir"]


def test_a_misspelt_application_is_noticed_by_the_command(home: FakeHome) -> None:
    done = CliRunner().invoke(run_command, ["totals_by_tpc.py", "--on", "ray"])
    assert done.exit_code == 2
    assert "totals_by_tcp" in done.stderr
    assert home.runs == []


def test_requests_to_a_cluster_on_a_home_go_there(home: FakeHome) -> None:
    arguments = ["partitions", "counts", "--json", "--on", "ray:totals"]
    done = CliRunner().invoke(cluster_command, arguments)
    assert (done.exit_code, json.loads(done.output)) == (0, {"text": "3 apples"})
    assert home.asked == [("partitions", {"state": "counts"}, False)]


def test_a_cluster_on_a_home_has_no_other_address(home: FakeHome) -> None:
    arguments = ["status", "--on", "ray", "--cluster", "127.0.0.1:7100"]
    done = CliRunner().invoke(cluster_command, arguments)
    assert done.exit_code == ConfigError.exit_code
    assert "leave out --cluster" in done.stderr
    assert home.asked == []
