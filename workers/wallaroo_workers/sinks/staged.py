"""Output in files: appended at once, or staged beside the file until its checkpoint is committed.

Everything here waits for the disk and raises ``OSError``; callers that must not wait call it in a
thread. A staged file is durable, name and content, before it is part of a checkpoint. It is deleted
only when the sink's file is durable with what it holds.
"""

import os
from collections.abc import Container, Sequence

from wallaroo.connectors.file import StagedPart, is_staged, length_to_begin_with, staged_name
from wallaroo_workers.forks import ours

COPY_BYTES = 1 << 20


class AppendedFile:
    """The sink's file itself, which other workers append to as well."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def write(self, data: bytes) -> None:
        """Append whole records in one write, so that records of other workers are not mixed in."""
        if self._file is None:
            # It was created at the start of the run. If it is missing now, earlier output is lost.
            self._file = ours(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        _write_all(self._file, data)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class StagedFiles:
    """One worker's staged files for one sink, one after the other."""

    def __init__(self, path: str, stage: str) -> None:
        self._path = path
        self._stage = stage
        self._number = 0
        self._name = ""
        self._file: int | None = None
        self._byte_count = 0

    def write(self, data: bytes) -> None:
        """Append to the present file; the first output after a cut creates a new one."""
        if self._file is None:
            self._number += 1
            self._name = staged_name(self._path, self._stage, self._number)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = ours(os.open(_beside(self._path, self._name), flags, 0o666))
            self._byte_count = 0
        _write_all(self._file, data)
        self._byte_count += len(data)

    def cut(self) -> StagedPart | None:
        """End the present file and make it durable; return ``None`` if there was no output."""
        if self._file is None:
            return None
        os.fsync(self._file)
        self._close()
        _sync_folder_of(self._path)
        return StagedPart(self._name, self._byte_count)

    def drop(self, parts: Sequence[StagedPart]) -> None:
        """Delete the present file and these parts."""
        names = [part.name for part in parts]
        if self._file is not None:
            self._close()
            names.append(self._name)
        _delete(self._path, names)

    def _close(self) -> None:
        assert self._file is not None
        os.close(self._file)
        self._file = None


def commit_staged(path: str, length_before: int, staged: Sequence[StagedPart]) -> int:
    """Make the file at ``path`` consist of its first ``length_before`` bytes and the staged parts.

    Delete the staged files and return the new length. If this is interrupted and called again with
    the same arguments, the result is the same; so it is if it is called once more after that. So
    each part is in the file exactly once, unless something was committed behind it; what follows is
    cut off.
    """
    found = _lengths(path, staged)
    output = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        length = os.fstat(output).st_size
        begin = length_to_begin_with(path, length, length_before, staged, found)
        if length > begin:
            os.ftruncate(output, begin)
        end = os.lseek(output, begin, os.SEEK_SET)
        if len(found) == len(staged):
            for part in staged:
                _copy(_beside(path, part.name), output)
                end += part.byte_count
        os.fsync(output)
    finally:
        os.close(output)
    _sync_folder_of(path)
    # Only now that the file is durable, since a missing staged file means "already appended".
    _delete(path, list(found))
    return end


def discard_staged(path: str, keep: Container[str] = (), stage: str | None = None) -> None:
    """Delete staged files of the sink at ``path`` that belong to no checkpoint: all but ``keep``.

    Without ``stage``, no worker may be running. With it, only that lost worker's files are deleted.
    """
    folder = os.path.dirname(path) or os.curdir
    names = [name for name in os.listdir(folder) if is_staged(name, path, stage)]
    _delete(path, [name for name in names if name not in keep])


def _lengths(path: str, staged: Sequence[StagedPart]) -> dict[str, int]:
    """Return the lengths of the existing staged files, by name, in their order."""
    found = {}
    for part in staged:
        try:
            found[part.name] = os.stat(_beside(path, part.name)).st_size
        except FileNotFoundError:
            continue
    return found


def _copy(source: str, output: int) -> None:
    part = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := os.read(part, COPY_BYTES):
            _write_all(output, data)
    finally:
        os.close(part)


def _write_all(file: int, data: bytes) -> None:
    """Write all of ``data``. A full disk accepts a part of it, and the next write then raises."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _delete(path: str, names: Sequence[str]) -> None:
    for name in names:
        try:
            os.unlink(_beside(path, name))
        except FileNotFoundError:
            continue


def _beside(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), name)


def _sync_folder_of(path: str) -> None:
    """Make the names in a folder durable."""
    folder = os.open(os.path.dirname(path) or os.curdir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
