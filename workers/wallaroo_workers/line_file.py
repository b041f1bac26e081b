"""Files to which one process appends whole lines, even if a write fails in the middle of a line."""

import contextlib
import fcntl
import os
from pathlib import Path

from wallaroo_workers.forks import ours

READ_BACK_BYTES = 64 << 10


class LinesNotWrittenError(OSError):
    """The disk stored only some of the lines, or none; a partly stored line is removed."""

    def __init__(self, written_count: int, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause))
        self.written_count = written_count


class LineFile:
    """A file that is open for appending.

    Raises ``BlockingIOError`` if another process has it open: only one process can know where the
    last whole line ends. A partial line that a crash or a full disk left is removed when opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = ours(os.open(path, flags, 0o666))
        try:
            _lock(self._file)
            byte_count = os.fstat(self._file).st_size
            self.size = _end_of_last_line(self._file, byte_count)
            """Length of the file in bytes."""
            self.cut_bytes = byte_count - self.size
            """Bytes of a partial line that were removed when opening."""
            if self.cut_bytes:
                os.ftruncate(self._file, self.size)
        except OSError:
            os.close(self._file)
            raise

    @property
    def is_deleted(self) -> bool:
        """Return whether the file was deleted, so that appended lines would be lost."""
        return os.fstat(self._file).st_nlink == 0

    def append(self, lines: bytes) -> None:
        """Write whole lines; raises ``LinesNotWrittenError``, after which the file is closed."""
        written = 0
        # The file may have been emptied; truncating to the old length would fill it with zeros.
        self.size = os.fstat(self._file).st_size
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:] if written else lines)
        except OSError as error:
            whole = lines.rfind(b"\n", 0, written) + 1
            # If this fails too, the next start repairs the file.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size + whole)
            self.close()
            raise LinesNotWrittenError(lines.count(b"\n", 0, whole), error) from error
        self.size += len(lines)

    def sync(self) -> None:
        """Make appended lines and the file's name durable."""
        os.fsync(self._file)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the file, so that other processes can append to it; do nothing if it is closed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lock(file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks


def _end_of_last_line(file: int, byte_count: int) -> int:
    """Return where the last whole line ends; a crash can leave a partial line, or zeros."""
    end = byte_count
    while end > 0:
        start = max(end - READ_BACK_BYTES, 0)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
