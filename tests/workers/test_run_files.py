"""The files of a run: all problems with them are reported before anything is touched."""

import os
from pathlib import Path

import pytest

from wallaroo.connectors.base import Sink
from wallaroo.connectors.file import FileSink, FileSource
from wallaroo.errors import ConfigError
from wallaroo.names import SinkId
from wallaroo.topology.plan import Application, Pipeline, Stage
from wallaroo_workers.initializer.resources.run_files import RunFiles


def plan_of(source: str, *sinks: str) -> Application:
    written: tuple[Sink, ...] = tuple(FileSink(path, str) for path in sinks)
    ids = tuple(SinkId(index) for index in range(len(sinks)))
    read = FileSource(source, "newline", 0, "", bytes)
    return Application("app", (Pipeline("p", read, (Stage(None, ()),), ids),), {}, written)


def problems(folder: Path, source: str, *sinks: str) -> list[str]:
    before = {*folder.rglob("*")}
    with pytest.raises(ConfigError) as raised:
        RunFiles(plan_of(source, *sinks), str(folder))
    assert {*folder.rglob("*")} == before
    return raised.value.what.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").write_bytes(b"one\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_a_run_holds_and_empties_what_it_writes(folder: Path) -> None:
    (folder / "old").write_bytes(b"of the last run\n")
    files = RunFiles(plan_of("in", "old", "new"), str(folder))
    files.hold()
    assert (folder / "old").read_bytes() == b"of the last run\n"
    files.empty()
    assert [(folder / name).read_bytes() for name in ("old", "new", "in")] == [b"", b"", b"one\n"]
    second = RunFiles(plan_of("in", "old"), str(folder))
    with pytest.raises(ConfigError, match="is being written by another run"):
        second.hold()
    second.release()
    files.release()
    second.hold()
    second.release()


def test_all_problems_are_told_together(folder: Path) -> None:
    assert problems(folder, "not there", "folder", "nowhere/out") == [
        "the source of pipeline 'p' reads not there, which cannot be read: No such file or "
        "directory; put the file there, or correct the path",
        "a sink writes to folder, which is a folder; give a file",
        f"a sink writes to nowhere/out, but there is no folder {folder}/nowhere; make it",
    ]


def test_a_source_is_a_plain_file(folder: Path) -> None:
    (problem,) = problems(folder, "folder", "out")
    assert problem == "the source of pipeline 'p' reads folder, which is a folder; give a file"
    os.mkfifo(folder / "fifo")
    (problem,) = problems(folder, "fifo", "out")
    assert "which is not a regular file" in problem


def test_two_ways_to_one_file_are_seen(folder: Path) -> None:
    (folder / "link").symlink_to("in")
    (folder / "folder" / "out").symlink_to(folder / "out")
    assert problems(folder, "in", "link", "out", str(folder / "folder" / "out")) == [
        "a sink writes to link, the file that the source of pipeline 'p' reads; "
        "give it a file of its own",
        f"a sink writes to {folder}/folder/out, the file that another sink writes; "
        "give it a file of its own",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_reported(folder: Path) -> None:
    (folder / "folder").chmod(0o500)
    (problem,) = problems(folder, "in", "folder/out")
    assert problem.endswith("cannot be written; give permission there")


def test_a_file_that_cannot_be_made_after_all_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RunFiles(plan_of("in", "folder/out"), str(folder))
    (folder / "folder").rmdir()
    with pytest.raises(ConfigError, match="folder/out cannot be written: No such file"):
        files.hold()
    files.release()
