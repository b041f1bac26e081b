"""All clusters of a machine: found by the files that living processes hold, and by nothing else."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from wallaroo_cli.cluster import main
from wallaroo_workers.machine_runs import machine_runs
from wallaroo_workers.run_file import FOLDER, RunFile

FACTS: dict[str, Any] = {
    "application": "letters",
    "control": "127.0.0.1:7",
    "secret": "00ff",
    "dashboard": "",
    "workers": [{"name": "w1", "pid": 5}],
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFile]:
    held = RunFile(tmp_path)
    held.write(**FACTS)
    yield held
    held.remove()


def of_folder(folder: Path) -> list[dict[str, Any]]:
    return [each for each in machine_runs().runs if each["folder"] == str(folder)]


def test_a_run_of_another_folder_is_found_while_it_lasts(tmp_path: Path, run: RunFile) -> None:
    [found] = of_folder(tmp_path)
    assert found["application"] == "letters"
    assert found["pid"] == os.getpid()
    assert found["workers"] == [{"name": "w1"}]
    assert "secret" not in found
    run.remove()
    assert of_folder(tmp_path) == []


def test_a_file_that_nobody_holds_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "cluster-1.json").write_text(json.dumps({"pid": 1, **FACTS}))
    assert of_folder(tmp_path) == []


def test_a_run_that_several_processes_hold_is_one(tmp_path: Path) -> None:
    code = f"""
    import os, sys
    from pathlib import Path
    from wallaroo_workers.run_file import RunFile
    held = RunFile(Path({str(tmp_path)!r}))
    held.write(**{FACTS!r})
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert len(of_folder(tmp_path)) == 1
    process.communicate(timeout=20)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"pid": "1"}', json.dumps({**FACTS, "pid": 1, "workers": 5}).encode()],
    ids=range(5),
)
def test_what_another_process_made_up_is_passed_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FOLDER / "cluster-1.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with path.open("rb"):
        assert of_folder(tmp_path) == []


def test_a_pipe_of_that_name_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "cluster-1.json"
    path.parent.mkdir()
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    assert of_folder(tmp_path) == []
    os.close(held)


def made_process(proc: Path, pid: int, *words: str) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")


def test_clusters_of_others_are_counted_but_not_their_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_process(tmp_path, 10, "/usr/bin/python3", "/opt/bin/wallaroo-run", "--workers", "2")
    made_process(tmp_path, 11, "/usr/bin/python3", "/opt/bin/wallaroo-run", "--join=h:1")
    made_process(tmp_path, 12, "vi", "notes", "wallaroo-run")
    made_process(tmp_path, 13, "python", "-m", "wallaroo", "alphabet.py")
    made_process(tmp_path, 14, "python", "-m", "wallaroo", "alphabet.py", "--plan")

    def refused(_path: Path) -> list[str]:
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refused)
    found = machine_runs(tmp_path)
    assert (found.runs, found.hidden_count) == ([], 2)


def test_the_command_lists_them_from_any_folder(
    tmp_path: Path, run: RunFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write(application="bad\x1b[2Jname")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shown = CliRunner().invoke(main, ["list", "--all"])
    assert shown.exit_code == 0
    assert str(tmp_path) in shown.stdout
    assert "bad·[2Jname" in shown.stdout
    listed = json.loads(CliRunner().invoke(main, ["list", "--all", "--json"]).stdout)
    [mine] = [each for each in listed if each["folder"] == str(tmp_path)]
    assert mine["control"] == "127.0.0.1:7"
    assert "00ff" not in json.dumps(listed)
    assert "--all looks at all folders" in CliRunner().invoke(main, ["list"]).stdout
