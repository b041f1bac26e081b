"""Run files: who runs is found, who has ended is not, and nobody else reads the secret."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from wallaroo_workers.run_file import FOLDER, RunFile, living_runs

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
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [f"cluster-{os.getpid()}.json"]
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


def test_a_process_id_that_another_program_has_now_is_no_run(tmp_path: Path) -> None:
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
    assert [line["event"] for line in logs] == ["run_file.not_written"]
    assert "--cluster" in logs[0]["hint"]
    run_file.remove()
    assert (tmp_path / FOLDER).exists()


def test_no_folder_is_no_run(tmp_path: Path) -> None:
    assert living_runs(tmp_path) == []
    assert not (tmp_path / FOLDER).exists()
