"""Folders of workers: removed when their owner ends, however it ends, and no others."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wallaroo_workers.initializer.placement.private_folders import (
    PREFIX,
    PrivateFolder,
    remove_leftovers,
)
from wallaroo_workers.network.unix_paths import socket_path

OWNER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from wallaroo_workers.initializer.placement.private_folders import PrivateFolder
folder = PrivateFolder()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def listen_in(folder: str) -> None:
    with (
        socket.socket(socket.AF_UNIX) as listening,
        socket_path(os.path.join(folder, "hand-over")) as path,
    ):
        listening.bind(path)


def test_what_a_killed_process_left_is_removed_and_not_before(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as owner:
        assert owner.stdout is not None
        path = owner.stdout.readline().strip()
        listen_in(path)
        remove_leftovers()
        assert os.listdir(path) == ["hand-over"]
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    remove_leftovers()
    assert os.listdir(folder) == []


def test_one_that_is_in_use_stays_until_its_owner_removes_it(folder: Path) -> None:
    private = PrivateFolder()
    listen_in(private.path)
    assert os.stat(private.path).st_mode & 0o077 == 0
    remove_leftovers()
    assert os.listdir(private.path) == ["hand-over"]
    private.remove()
    private.remove()
    assert os.listdir(folder) == []


def test_what_is_not_ours_stays(folder: Path) -> None:
    (folder / f"{PREFIX}notes").mkdir()
    (folder / f"{PREFIX}notes" / "mine.txt").touch()
    (folder / f"{PREFIX}file").touch()
    (folder / "elsewhere").mkdir()
    (folder / f"{PREFIX}link").symlink_to(folder / "elsewhere")
    before = sorted(os.listdir(folder))
    remove_leftovers()
    assert sorted(os.listdir(folder)) == before
    assert (folder / f"{PREFIX}notes" / "mine.txt").exists()


def test_where_folders_cannot_be_locked_nothing_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    private = PrivateFolder()
    assert os.listdir(folder) == [os.path.basename(private.path)]
    remove_leftovers()
    assert os.path.isdir(private.path)
    private.remove()
    assert os.listdir(folder) == []


def test_without_a_temporary_folder_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    remove_leftovers()
    assert PrivateFolder().path == ""
