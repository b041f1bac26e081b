"""Staged output: whatever a crash interrupts, the sink's file comes to hold each part once."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from wallaroo.connectors.file import StagedPart
from wallaroo.errors import ClusterError
from wallaroo_workers.sinks import staged
from wallaroo_workers.sinks.staged import AppendedFile, StagedFiles, commit_staged, discard_staged

BEFORE = b"committed before\n"
CONTENTS = [b"first of w1\n" * 3, b"first of w2\n", b"third\n" * 5]


class Crash(BaseException):
    """The process has ended."""


class CrashingSystem:
    """Stands in for ``os`` in ``staged``: counts calls, and at one of them the process ends.

    The call itself is not carried out then, or half of it where it is a write.
    """

    STEPS = ("open", "fstat", "stat", "ftruncate", "lseek", "read", "write", "fsync", "unlink")

    def __init__(self, crash_at: float = float("inf")) -> None:
        self.crash_at = crash_at
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return self._step(name, function) if name in self.STEPS else function

    def _step(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.calls.append((name, args[0]))
            if len(self.calls) - 1 == self.crash_at:
                if name == "write":
                    file, data = args
                    function(file, data[: len(data) // 2])
                raise Crash
            # The disk would only be asked to hurry.
            return None if name == "fsync" else function(*args)

        return call


def crashing(monkeypatch: pytest.MonkeyPatch, crash_at: float = float("inf")) -> CrashingSystem:
    system = CrashingSystem(crash_at)
    monkeypatch.setattr(staged, "os", system)
    return system


def stage(folder: Path, contents: list[bytes]) -> list[StagedPart]:
    parts = []
    for number, content in enumerate(contents, start=1):
        files = StagedFiles(str(folder / "out"), f"w{number}-1")
        files.write(content)
        part = files.cut()
        assert part is not None
        parts.append(part)
    return parts


def commit(folder: Path, length_before: int, parts: list[StagedPart]) -> bool:
    """Commit; say whether it got through."""
    try:
        end = commit_staged(str(folder / "out"), length_before, parts)
    except Crash:
        return False
    assert end == length_before + sum(part.byte_count for part in parts)
    return True


def prepared(folder: Path, before: bytes, tail: bytes, contents: list[bytes]) -> list[StagedPart]:
    """A sink's file that ends in an interrupted attempt, and parts to commit."""
    folder.mkdir()
    if before or tail:
        (folder / "out").write_bytes(before + tail)
    return stage(folder, contents)


def check(folder: Path, before: bytes, contents: list[bytes]) -> None:
    assert (folder / "out").read_bytes() == before + b"".join(contents)
    assert [each.name for each in folder.iterdir()] == ["out"]


CASES = pytest.mark.parametrize(
    ("before", "tail", "contents"),
    [
        (b"", b"", CONTENTS),
        (BEFORE, b"", CONTENTS),
        (BEFORE, b"half of a part", CONTENTS),
        (BEFORE, b"longer than all parts together" * 99, CONTENTS),
        (BEFORE, b"", CONTENTS[:1]),
        (BEFORE, b"tail", []),
        (b"", b"", []),
    ],
)


@CASES
def test_parts_stand_behind_what_was_committed_before(
    tmp_path: Path, before: bytes, tail: bytes, contents: list[bytes]
) -> None:
    folder = tmp_path / "run"
    parts = prepared(folder, before, tail, contents)
    for _ in range(3):
        assert commit(folder, len(before), parts)
        check(folder, before, contents)


@CASES
def test_after_a_crash_at_any_step_committing_again_comes_to_the_same_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: bytes,
    tail: bytes,
    contents: list[bytes],
) -> None:
    for crash_at in count():
        folder = tmp_path / f"run-{crash_at}"
        parts = prepared(folder, before, tail, contents)
        crashing(monkeypatch, crash_at)
        got_through = commit(folder, len(before), parts)
        crashing(monkeypatch)
        assert commit(folder, len(before), parts)
        check(folder, before, contents)
        if got_through:
            assert crash_at > 5
            return


def test_after_two_crashes_at_any_steps_committing_again_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in count():
        for second in count():
            folder = tmp_path / f"run-{first}-{second}"
            parts = prepared(folder, BEFORE, b"", CONTENTS)
            crashing(monkeypatch, first)
            first_got_through = commit(folder, len(BEFORE), parts)
            crashing(monkeypatch, second)
            second_got_through = commit(folder, len(BEFORE), parts)
            crashing(monkeypatch)
            assert commit(folder, len(BEFORE), parts)
            check(folder, BEFORE, CONTENTS)
            if second_got_through:
                break
        if first_got_through:
            return


def test_a_part_is_deleted_only_when_the_file_is_durable_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    parts = prepared(folder, BEFORE, b"tail", CONTENTS)
    system = crashing(monkeypatch)
    assert commit(folder, len(BEFORE), parts)
    names = [name for name, _ in system.calls]
    last_write = len(names) - 1 - names[::-1].index("write")
    output = system.calls[last_write][1]
    assert ("fsync", output) in system.calls[last_write : names.index("unlink")]
    # The second is the folder's: without it a new file would have no name.
    assert names[last_write : names.index("unlink")].count("fsync") == 2


def test_the_next_commit_goes_on_behind_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = prepared(folder, b"", b"", CONTENTS[:1])
    assert commit(folder, 0, first)
    files = StagedFiles(str(folder / "out"), "w1-2")
    files.write(b"second\n")
    second = files.cut()
    assert second is not None
    assert commit(folder, first[0].byte_count, [second])
    check(folder, CONTENTS[0], [b"second\n"])


def test_output_that_was_cut_off_is_not_made_up_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    parts = prepared(folder, BEFORE, b"", CONTENTS)
    os.truncate(folder / "out", 5)
    with pytest.raises(ClusterError, match="has 5 bytes, but 17 were committed"):
        commit(folder, len(BEFORE), parts)
    assert len(list(folder.iterdir())) == 4


# Staging


def test_a_staged_file_is_durable_with_its_name_when_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = crashing(monkeypatch)
    files = StagedFiles(str(tmp_path / "out"), "w1-3")
    assert files.cut() is None
    files.write(b"one\n")
    files.write(b"two\n")
    assert files.cut() == (".out.w1-3.0000000001.staged", 8)
    assert [name for name, _ in system.calls][-3:] == ["fsync", "open", "fsync"]
    assert files.cut() is None
    files.write(b"three\n")
    assert files.cut() == (".out.w1-3.0000000002.staged", 6)
    assert (tmp_path / ".out.w1-3.0000000001.staged").read_bytes() == b"one\ntwo\n"
    assert not (tmp_path / "out").exists()


def test_what_is_dropped_is_gone_and_the_next_file_is_another(tmp_path: Path) -> None:
    files = StagedFiles(str(tmp_path / "out"), "w1-3")
    files.write(b"one\n")
    part = files.cut()
    assert part is not None
    files.write(b"two\n")
    files.drop([part])
    assert list(tmp_path.iterdir()) == []
    files.write(b"three\n")
    assert files.cut() == (".out.w1-3.0000000003.staged", 6)


def test_what_no_checkpoint_holds_is_deleted(tmp_path: Path) -> None:
    parts = stage(tmp_path, CONTENTS)
    others = {"out", "other", ".out.swp", ".out.staged", ".out2.w1-1.0000000001.staged"}
    for name in others:
        (tmp_path / name).touch()
    path = str(tmp_path / "out")
    discard_staged(path, stage="w3-1")
    discard_staged(path, keep=[parts[0].name])
    assert {each.name for each in tmp_path.iterdir()} == {*others, parts[0].name}
    discard_staged(path)
    assert {each.name for each in tmp_path.iterdir()} == others


# The file itself


def test_several_workers_append_whole_chunks(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    files = [AppendedFile(str(tmp_path / "out")) for _ in range(2)]
    for number in range(4):
        files[number % 2].write(b"record %d\n" % number)
    for each in files:
        each.close()
    assert (tmp_path / "out").read_bytes() == b"record 0\nrecord 1\nrecord 2\nrecord 3\n"


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AppendedFile(str(tmp_path / "out")).write(b"record\n")


def test_what_a_full_disk_takes_in_part_is_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").touch()
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real_write(file, data[:3]))
    file = AppendedFile(str(tmp_path / "out"))
    file.write(b"0123456789")
    file.close()
    assert (tmp_path / "out").read_bytes() == b"0123456789"
