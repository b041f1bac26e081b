"""The ready file: there while its run is ready, and nobody else takes it away."""

import json
import os
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from wallaroo.errors import ConfigError
from wallaroo_workers.initializer.resources.ready_file import ReadyFile


def ready_file(path: Path) -> ReadyFile:
    file = ReadyFile(str(path))
    file.begin()
    return file


def test_it_is_there_while_the_application_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    file = ready_file(path)
    for epoch in (1, 2):
        file.write({"epoch": epoch})
        assert json.loads(path.read_text()) == {"epoch": epoch}
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text("{}")
    ready_file(path)
    assert not path.exists()


def test_a_start_that_is_refused_leaves_the_file_of_a_run_that_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    first = ready_file(path)
    first.write({"run": 1})
    second = ready_file(path)
    second.remove()
    assert json.loads(path.read_text()) == {"run": 1}
    # One that takes over writes its own, and the first one leaves that alone.
    second.write({"run": 2})
    first.remove()
    assert json.loads(path.read_text()) == {"run": 2}
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_two_that_write_at_once_do_not_share_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    first, second = ready_file(tmp_path / "ready.json"), ready_file(tmp_path / "ready.json")
    replaced = Path.replace

    def late(draft: Path, path: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replaced)
        second.write({"run": 2})
        return replaced(draft, path)

    monkeypatch.setattr(Path, "replace", late)
    first.write({"run": 1})
    assert json.loads((tmp_path / "ready.json").read_text()) == {"run": 1}
    first.remove()
    second.remove()


def test_without_a_path_nothing_is_written() -> None:
    file = ReadyFile(None)
    file.begin()
    file.write({})
    file.remove()


def test_a_folder_that_is_missing_is_an_error_and_one_that_goes_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        ReadyFile(str(tmp_path / "missing" / "ready.json"))
    (tmp_path / "place").mkdir()
    file = ready_file(tmp_path / "place" / "ready.json")
    file.write({})
    shutil.rmtree(tmp_path / "place")
    with capture_logs() as logs:
        file.remove()
    assert logs == []
