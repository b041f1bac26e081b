"""Run files: who runs is found, who has ended is not, and nobody else reads the secret."""

import fcntl
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from wallaroo_workers.run_file import FOLDER, WRITTEN_ON, RunFile, living_runs
from wallaroo_workers.storage.signs import machine_id

FACTS: dict[str, Any] = {"application": "letters", "control": "127.0.0.1:7", "secret": "00ff"}


def written(folder: Path) -> RunFile:
    run_file = RunFile(folder)
    run_file.write(**FACTS)
    return run_file


def test_a_run_is_found_while_it_lasts_and_leaves_nothing(tmp_path: Path) -> None:
    run_file = written(tmp_path)
    assert living_runs(tmp_path) == [{"pid": os.getpid(), **FACTS}]
    run_file.remove()
    assert living_runs(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_facts_are_added_to_those_of_before(tmp_path: Path) -> None:
    run_file = written(tmp_path)
    run_file.write(workers=["w1"], control="127.0.0.1:8")
    (found,) = living_runs(tmp_path)
    assert found == {"pid": os.getpid(), **FACTS, "workers": ["w1"], "control": "127.0.0.1:8"}
    (path,) = (tmp_path / FOLDER).iterdir()
    assert re.fullmatch(rf"cluster-{os.getpid()}-[0-9a-f]{{8}}\.json", path.name)
    run_file.remove()


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    run_file = written(tmp_path)
    (path,) = (tmp_path / FOLDER).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    run_file.remove()


def test_what_a_dead_process_left_is_removed_and_the_living_stay(tmp_path: Path) -> None:
    code = f"""
    import os, signal, sys
    from pathlib import Path
    from wallaroo_workers.run_file import RunFile
    run_file = RunFile(Path({str(tmp_path)!r}))
    run_file.write(**{FACTS!r})
    os.kill(os.getpid(), signal.SIGKILL)
    """
    run_file = written(tmp_path)
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    assert [run["pid"] for run in living_runs(tmp_path)] == [os.getpid()]
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    run_file.remove()


def test_a_process_id_that_another_program_has_now_is_not_a_run(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / f"cluster-{os.getpid()}.json").write_text(json.dumps({"pid": os.getpid(), **FACTS}))
    assert living_runs(tmp_path) == []
    assert list(folder.iterdir()) == []


def test_two_that_look_at_once_do_not_take_each_other_for_a_run(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    path = folder / "cluster-1.json"
    path.write_text("{}")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert living_runs(tmp_path) == []


def test_files_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    run_file = written(tmp_path)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_text("no json")
    assert living_runs(tmp_path) == []
    run_file.remove()


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with capture_logs() as logs:
        run_file = written(tmp_path)
    assert [line["event"] for line in logs] == ["run_file.write_failed"]
    assert "--cluster" in logs[0]["hint"]
    run_file.remove()
    assert (tmp_path / FOLDER).exists()


def test_a_missing_folder_is_not_a_run(tmp_path: Path) -> None:
    assert living_runs(tmp_path) == []
    assert not (tmp_path / FOLDER).exists()


def rewritten(path: Path, **where: str) -> None:
    """Have a run file say that it was written elsewhere; its lock stays."""
    facts = json.loads(path.read_text())
    facts[WRITTEN_ON] |= where
    path.write_text(json.dumps(facts))


def test_runs_of_one_process_id_have_a_file_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    first, second = written(tmp_path), RunFile(tmp_path)
    second.write(**{**FACTS, "control": "127.0.0.1:8"})
    first.write(workers=["w1"])
    assert {run["control"] for run in living_runs(tmp_path)} == {"127.0.0.1:7", "127.0.0.1:8"}
    first.remove()
    assert [run["control"] for run in living_runs(tmp_path)] == ["127.0.0.1:8"]
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_host_is_left_alone(tmp_path: Path) -> None:
    run_file = written(tmp_path)
    (path,) = (tmp_path / FOLDER).iterdir()
    copy = path.with_name("cluster-1-0000.json")
    shutil.copy(path, copy)  # without its lock
    rewritten(copy, boot="another", host="beta", machine="another")
    assert [run["pid"] for run in living_runs(tmp_path)] == [os.getpid()]
    assert copy.exists()
    # One of this host from before it was started again can have no process.
    rewritten(copy, host=socket.gethostname(), machine=machine_id())
    living_runs(tmp_path)
    assert not copy.exists()
    run_file.remove()


@pytest.mark.parametrize(
    ("control", "is_found"), [("127.0.0.1:7", False), ("[::1]:7", False), ("alpha:7", True)]
)
def test_a_run_that_only_its_own_container_reaches_is_found_only_there(
    tmp_path: Path, control: str, is_found: bool
) -> None:
    run_file = written(tmp_path)
    run_file.write(control=control)
    (path,) = (tmp_path / FOLDER).iterdir()
    rewritten(path, net="net:[1]")
    assert bool(living_runs(tmp_path)) is is_found
    assert path.exists()
    run_file.remove()


def test_a_folder_that_goes_while_a_file_is_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file = RunFile(tmp_path)
    opened = os.open
    gone: list[Any] = []

    def open_late(path: Any, *arguments: Any, **named: Any) -> int:
        if not gone:
            gone.append(path)
            (tmp_path / FOLDER).rmdir()
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", open_late)
    run_file.write(**FACTS)
    assert len(living_runs(tmp_path)) == 1
    run_file.remove()
