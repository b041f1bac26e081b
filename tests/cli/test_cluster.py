"""``wallaroo-cluster`` without a cluster: what it shows, where it looks, and its exit status."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from wallaroo.errors import ConfigError
from wallaroo_cli.checkpoints import main as checkpoints_command
from wallaroo_cli.cluster import main
from wallaroo_cli.tools import cluster_views as views
from wallaroo_cli.tools.running_clusters import NoClusterError, find_cluster
from wallaroo_workers.run_file import RunFile

RUN = {
    "application": "letters",
    "control": "127.0.0.1:7000",
    "secret": "00ff",
    "dashboard": "",
    "workers": [{"name": "w1", "pid": 5}],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WALLAROO_SECRET", raising=False)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[RunFile]:
    run_file = RunFile(folder)
    run_file.write(**RUN)
    yield run_file
    run_file.remove()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


# Which cluster


def test_the_cluster_of_this_folder_is_meant(run: RunFile) -> None:
    target = find_cluster(None, None)
    assert (str(target.address), target.secret) == ("127.0.0.1:7000", b"\x00\xff")


def test_an_address_has_the_secret_of_its_run_file(run: RunFile) -> None:
    assert find_cluster("127.0.0.1:7000", None).secret == b"\x00\xff"
    with pytest.raises(ConfigError, match=r"no secret for the cluster at 127.0.0.1:7001"):
        find_cluster("127.0.0.1:7001", None)


def test_an_address_may_be_written_in_another_way(run: RunFile) -> None:
    assert find_cluster("localhost:7000", None).secret == b"\x00\xff"
    run.write(control="0.0.0.0:7000")
    assert find_cluster("127.0.0.1:7000", None).secret == b"\x00\xff"
    for elsewhere in ("192.0.2.1:7000", "name.invalid:7000", "127.0.0.1:7001"):
        with pytest.raises(ConfigError, match="no secret for the cluster"):
            find_cluster(elsewhere, None)


def test_a_secret_that_is_given_goes_first(
    run: RunFile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALLAROO_SECRET", " from the environment\n")
    assert find_cluster("127.0.0.1:7000", None).secret == b"from the environment"
    (folder / "secret").write_text("from a file of the user's\n")
    (folder / "secret").chmod(0o600)
    assert find_cluster(None, str(folder / "secret")).secret == b"from a file of the user's"


def test_no_cluster_is_the_status_3() -> None:
    with pytest.raises(NoClusterError, match="no cluster runs that was started in"):
        find_cluster(None, None)
    for command in (
        "status",
        "partitions",
        "keys",
        "splits",
        "checkpoint",
        "stop",
        "drain",
        "grow",
        "logs",
        "events",
    ):
        ended = invoke(command)
        assert ended.exit_code == 3, command
        assert "hint: go to the folder" in ended.stderr


def test_several_clusters_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for pid in (11, 12):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        files.append(RunFile(folder))
        files[-1].write(**{**RUN, "control": f"127.0.0.1:70{pid}"})
    ended = invoke("status")
    assert ended.exit_code == 2
    assert "  127.0.0.1:7011  letters, process 11\n  127.0.0.1:7012  letters" in ended.stderr
    assert "--cluster H:P" in ended.stderr
    listed = json.loads(invoke("list", "--json").stdout)
    assert [each["pid"] for each in listed] == [11, 12]
    for each in files:
        each.remove()


def test_the_list_shows_no_secret(run: RunFile) -> None:
    for options in ([], ["--json"]):
        ended = invoke("list", *options)
        assert ended.exit_code == 0
        assert "letters" in ended.stdout
        assert "00ff" not in ended.stdout
    run.remove()
    assert "No cluster runs" in invoke("list").stdout
    assert invoke("list", "--json").stdout == "[]\n"


@pytest.mark.parametrize("group", [main, checkpoints_command])
def test_the_help_has_a_whole_sentence_for_each_command(
    group: click.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(group, ["--help"]).stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert all(name in shown for name in group.commands)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stauts"], "No such command"),
        (["shrink"], "give either --workers N or --names"),
        (["shrink", "--workers", "1", "--names", "w1"], "give either"),
        (["grow", "--workers", "0"], "--workers"),
        (["get", "counts", "a", "--type", "date"], "--type"),
        (["logs", "--level", "loud"], "--level"),
        (["stop", "--discard-state"], "add --yes"),
        (["status", "--cluster", "nowhere"], "--cluster 'nowhere' is not an address"),
        (["status", "--timeout", "0"], "--timeout"),
    ],
)
def test_a_mistake_is_the_status_2(arguments: list[str], said: str) -> None:
    ended = invoke(*arguments)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_a_secret_that_no_cluster_takes_is_a_mistake(folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text("too short\n")
    secret.chmod(0o600)
    assert "has 9 bytes; it needs 16" in invoke("status", "--secret-file", "secret").stderr
    secret.chmod(0o644)
    assert "readable for every user" in invoke("status", "--secret-file", "secret").stderr


def test_a_run_file_of_a_cluster_that_nobody_answers_for_is_the_status_3(folder: Path) -> None:
    run_file = RunFile(folder)
    run_file.write(**{**RUN, "control": "127.0.0.1:1"})
    ended = invoke("status")
    run_file.remove()
    assert ended.exit_code == 3
    assert "there is no cluster at 127.0.0.1:1" in ended.stderr


def test_a_key_may_begin_with_a_dash(run: RunFile) -> None:
    run.write(control="127.0.0.1:1")
    for arguments in (["-5", "--type", "int"], ["--type", "int", "--", "-5"], ["-x"]):
        assert "there is no cluster at 127.0.0.1:1" in invoke("get", "counts", *arguments).stderr
    assert "unexpected extra argument" in invoke("get", "counts", "a", "--jsn").stderr


# What people see


WORKER = {
    "name": "w1",
    "pid": 5,
    "state": "running",
    "address": "127.0.0.1:9",
    "connections": 2,
    "records": 12345,
    "records_per_s": 1234.5,
    "failures": 0,
    "backlog_bytes": 2048,
    "paused": True,
    "keys": {"counts": 1000, "sums": 1},
    "problem": "",
}
HANGING = {
    "name": "w2",
    "pid": 6,
    "state": "not answering",
    "address": "127.0.0.1:10",
    "problem": "worker w2 did not answer in 5 s",
}
STATUS: dict[str, Any] = {
    "application": "letters",
    "phase": "running",
    "epoch": 3,
    "pid": 4,
    "control": "127.0.0.1:7000",
    "uptime_s": 130.0,
    "sources": [{"pipeline": "letters", "address": "127.0.0.1:7010"}],
    "lags": [],
    "durable": True,
    "last_checkpoint": {
        "number": 41, "age_s": 2.0, "keys": 1000, "bytes": 3_200_000, "duration_s": 0.021,
    },
    "workers": [WORKER, HANGING],
    "totals": {
        "connections": 2, "records": 12345, "records_per_s": 1234.5, "failures": 0,
        "backlog_bytes": 2048,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, None),
        (1, "1 batch is not delivered to sinks yet, 3.2 MB"),
        (2, "2 batches are not delivered to sinks yet, 3.2 MB"),
    ],
)
def test_status_says_how_many_batches_are_not_delivered(
    capsys: pytest.CaptureFixture[str], count: int, text: str | None
) -> None:
    more = {"undelivered_batches": count, "undelivered_bytes": 3_200_000}
    views.print_status({**STATUS, "totals": {**STATUS["totals"], **more}})
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "not delivered" in line] == ([] if text is None else [text])


def test_status_is_a_table_of_workers(capsys: pytest.CaptureFixture[str]) -> None:
    views.print_status(STATUS)
    shown = capsys.readouterr()
    head, source, checkpoint, titles, first, second, total = shown.out.splitlines()
    assert head == (
        "letters: running, 2 workers, epoch 3, up 2 min, process 4, control 127.0.0.1:7000"
    )
    assert source == "source of 'letters': 127.0.0.1:7010"
    assert checkpoint == "last checkpoint: 41, 2 s ago, 1,000 keys, 3.2 MB, took 0.02 s"
    assert titles.split() == [
        "worker", "state", "pid", "connections", "records", "records/s", "backlog",
        "keys", "failures",
    ]  # fmt: skip
    assert first.split("  ")[0] == "w1"
    assert " 2.0 kB (paused) " in first
    assert " 1,001 " in first
    assert second.split() == ["w2", "not", "answering", "6", *["-"] * 6]
    assert total.split() == ["total", "2", "12,345", "1,234", "2.0", "kB", "1,001", "0"]
    assert shown.err == "Warning: worker w2 did not answer in 5 s\n"


@pytest.mark.parametrize(
    ("lag", "lag_s", "text"),
    [
        (None, None, "3 splits"),
        (1, 0.0, "3 splits, 1 record behind"),
        (5400, 31.0, "3 splits, 5,400 records behind, the last one read is 31 s old"),
    ],
)
def test_status_says_how_far_a_source_is_behind(
    capsys: pytest.CaptureFixture[str], lag: int | None, lag_s: float | None, text: str
) -> None:
    row = {"pipeline": "orders", "splits": 3, "lag": lag, "lag_s": lag_s}
    views.print_status({**STATUS, "lags": [row]})
    assert f"\nsource of 'orders': {text}\n" in capsys.readouterr().out


def test_status_says_whether_there_are_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    views.print_status({**STATUS, "last_checkpoint": None})
    views.print_status({**STATUS, "last_checkpoint": None, "durable": False})
    shown = capsys.readouterr().out
    assert "no checkpoint yet\n" in shown
    assert "checkpoints are off\n" in shown


def test_a_narrow_terminal_has_the_columns_that_matter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    views.print_status(STATUS)
    titles, *rows = capsys.readouterr().out.splitlines()[3:]
    assert max(map(len, [titles, *rows])) <= 80
    assert titles.split() == [
        "worker",
        "state",
        "records",
        "records/s",
        "backlog",
        "keys",
        "failures",
    ]


def test_partitions_and_keys_have_a_row_for_each_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    views.print_partitions(
        {"states": [{"name": "counts", "partitions": 1024, "by_worker": {"w1": 1000, "w2": 24}}]}
    )
    views.print_key_counts(
        {"states": [{"name": "counts", "keys": 7, "by_worker": {"w1": 7}}], "problems": {"w2": "x"}}
    )
    views.print_partitions({"states": []})
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["worker", "partitions", "of", "counts"],
        ["w1", "1,000"],
        ["w2", "24"],
        ["total", "1,024"],
        ["worker", "keys", "of", "counts"],
        ["w1", "7"],
        ["The", "application", "has", "no", "state."],
    ]
    assert shown.err == "Warning: x\n"


def split_row(split: str, **facts: Any) -> dict[str, Any]:
    usual = {"pipeline": "orders", "worker": "w1", "position": 40, "end": None, "lag": None}
    usual["lag_s"] = None
    return {
        **usual,
        "split": split,
        "caught_up": False,
        "held": "",
        "held_s": None,
        "ended": False,
        "problem": "",
        **facts,
    }


def test_each_split_has_a_row_with_its_reader(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        split_row("o-0", end=1240, lag=1200, lag_s=31.0),
        split_row("o-1", worker="w2", caught_up=True),
        split_row("o-2", position=None, ended=True, problem="it is damaged"),
        split_row("", ended=True),
        split_row("o-4", held="a transaction is open", held_s=45.0),
        split_row("o-5", held="a transaction is open", held_s=20.0),
    ]
    views.print_splits({"splits": rows, "counts": {"orders": 7}, "problems": {"w3": "x"}})
    shown = capsys.readouterr()
    assert [" ".join(line.split()) for line in shown.out.splitlines()] == [
        "split worker position end lag age state pipeline",
        "o-0 w1 40 1240 1,200 31 s reading orders",
        "o-1 w2 40 - - - caught up orders",
        "o-2 w1 start - - - failed: it is damaged orders",
        "(no name) w1 40 - - - ended orders",
        "o-4 w1 40 - - - waits for 45 s orders",
        "o-5 w1 40 - - - waits for 20 s orders",
    ]
    assert shown.err.splitlines() == [
        "6 of 7 splits; --limit N shows more.",
        "What is waited for: a transaction is open",
        "Warning: x",
    ]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [({}, "no source that is read by split"), ({"orders": 0}, "No splits are known yet.")],
)
def test_no_splits_are_a_sentence(
    counts: dict[str, int], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    views.print_splits({"splits": [], "counts": counts, "problems": {}})
    assert sentence in capsys.readouterr().out


def test_log_lines_are_lines_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    views.print_log(
        [{"event": "worker.lost", "level": "warning", "process": "initializer", "worker": "w1",
          "timestamp": "2026-11-22T04:18:53Z"}, {"event": "bare"}]
    )  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-22T04:18:53Z warning  initializer  worker.lost worker=w1",
        "                       bare",
    ]


def test_sentences_on_what_was_done() -> None:
    checkpoint = {
        "number": 7, "keys": 1000, "bytes": 2048, "written_keys": 1, "written_bytes": 100,
        "duration_s": 0.5,
    }  # fmt: skip
    assert views.checkpoint_text(checkpoint) == (
        "checkpoint 7 committed: 1,000 keys, 2.0 kB; 1 changed key, 100 bytes written in 0.50 s"
    )
    counts = {"record_count": 1000, "failure_count": 1, "took_s": 0.25}
    assert views.stop_text({"stopped": True, "discarded": None, **counts}) == (
        "stopped, after 0.2 s: 1,000 records in all, 1 failure"
    )
    gone = {"manifests": 3, "parts": 1, "journals": 2}
    assert views.stop_text({"stopped": True, "discarded": gone, **counts}).endswith(
        "; deleted 3 manifests, 1 part, 2 journals"
    )
    assert views.stop_text({"drained": True, **counts}).startswith("drained; the workers are up")


def test_a_changed_membership_is_told_with_what_moved() -> None:
    facts = {
        "added": ["w3", "w4"],
        "left": [],
        "moved_partitions": {"counts": 512, "sums": 1},
        "moved_keys": 1000,
        "moved_bytes": 3_200_000,
        "pause_s": 0.2,
        "moving_s": 0.15,
        "took_s": 1.234,
        "epoch": 2,
        "workers": ["w1", "w2", "w3", "w4"],
    }
    assert views.resize_text(facts) == (
        "w3, w4 joined: 4 workers now, epoch 2. Moved partitions: 512 of 'counts', 1 of 'sums'; "
        "1,000 keys, 3.2 MB. Took 1.23 s; records waited for 0.20 s, "
        "0.15 s of it while keys moved"
    )
    assert views.resize_text({"accepted": True, "added": [], "left": ["w2"]}) == (
        "accepted: w2 to leave; the log reports the result"
    )


# What a key has


def test_the_windows_of_a_key_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    second = 1_000_000_000
    window = {"start": 60 * second, "end": 120 * second, "accumulator": [1], "text": "[1]"}
    endless = {"start": None, "end": None, "accumulator": 7, "text": "7"}
    views.print_key({"text": "", "windows": [window, endless], "window_count": 3, "timers": []})
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["window", "from", "(UTC)", "to", "(UTC)", "accumulator"],
        ["1970-01-01", "00:01:00.000", "1970-01-01", "00:02:00.000", "[1]"],
        ["-", "-", "7"],
    ]
    assert "first 2 of 3 windows" in shown.err


def test_the_timers_of_a_key_are_behind_its_object(capsys: pytest.CaptureFixture[str]) -> None:
    timers = [
        {"name": "poll", "kind": "alarm", "at": 1_500_000_000},
        {"name": "two\nlines", "kind": "timer", "at": 2_000_000_000},
    ]
    views.print_key({"text": "Machine()", "windows": [], "window_count": 0, "timers": timers})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["Machine()"],
        [],
        ["pending", "name", "at", "(UTC)"],
        ["alarm", "poll", "1970-01-01", "00:00:01.500"],
        ["timer", "two·lines", "1970-01-01", "00:00:02.000"],
    ]
    views.print_key({"text": "7", "windows": [], "window_count": 0, "timers": []})
    assert capsys.readouterr().out == "7\n"
    views.print_key({"text": "", "windows": [], "window_count": 0, "timers": timers[:1]})
    assert capsys.readouterr().out.startswith("pending")
