"""Writes records that user code failed on to files, one JSON object a line."""

import base64
import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wallaroo.operators.failures import Failure
from wallaroo_workers.line_file import LineFile, LinesNotWrittenError
from wallaroo_workers.logs import get_logger

if TYPE_CHECKING:
    # The settings take a number from here.
    from wallaroo_workers.settings import WorkerSettings

log = get_logger()

TOLD_EACH_S = 5
"""Failures logged one by one in any second; the others of that second are counted."""
FILE_BYTES = 64 << 20
"""The size at which a new file is started."""
SUFFIX = ".jsonl"
PATHS_LISTED_MAX = 4


def dead_letter_paths(folder: str, application: str, workers: Sequence[str]) -> list[str]:
    """Return the files of these workers; a pattern if a worker has several, or for many workers."""
    if len(workers) > PATHS_LISTED_MAX:
        return [str(Path(folder) / f"{_name(application, '*')}{SUFFIX}")]
    names = [_name(application, worker) for worker in workers]
    has_several = [any(Path(folder).glob(f"{name}.*{SUFFIX}")) for name in names]
    return [
        str(Path(folder) / (f"{name}.*{SUFFIX[1:]}" if many else f"{name}{SUFFIX}"))
        for name, many in zip(names, has_several, strict=True)
    ]


def _name(application: str, worker: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in application) + f"-{worker}"


class DeadLetters:
    """The files of one worker; the first is created when the first record fails.

    When ``NAME.jsonl`` has ``file_bytes``, ``NAME.2.jsonl`` is started, and so on. A file keeps its
    name, because people and programs refer to a letter by its file and line. The newest
    ``kept_max`` files are kept, by default all.
    """

    def __init__(
        self,
        folder: str,
        application: str,
        worker: str,
        *,
        file_bytes: int = FILE_BYTES,
        kept_max: int | None = None,
        shows_traceback: bool = False,
    ) -> None:
        self._folder = Path(folder)
        self._name = _name(application, worker)
        self._worker = worker
        self._file_bytes = file_bytes
        self._kept_max = kept_max
        self._shows_traceback = shows_traceback
        self._path = self._path_of(1)
        self._file: LineFile | None = None
        self._told_second = 0
        self._told_count = 0
        self._untold: Counter[str] = Counter()
        self._lost_count = 0
        self._lost_reason = ""
        self._lost_told_second = 0
        self.count_by_step: Counter[str] = Counter()

    @classmethod
    def of_worker(cls, settings: "WorkerSettings", application: str) -> "DeadLetters":
        """Return those of the worker with these settings."""
        options = settings.options
        return cls(
            options.dead_letters,
            application,
            settings.name,
            file_bytes=options.dead_letter_bytes,
            kept_max=options.dead_letters_kept,
            shows_traceback=options.debug,
        )

    def add(self, failures: list[Failure]) -> None:
        """Write ``failures`` to the file, and log them at a limited rate."""
        now = datetime.now(UTC)
        second = int(now.timestamp())
        try:
            self._write([self._line(failure, now.isoformat()) for failure in failures])
        except OSError as error:
            self._file = None
            written = error.written_count if isinstance(error, LinesNotWrittenError) else 0
            self._lost_count += len(failures) - written
            self._lost_reason = str(error)
            if second != self._lost_told_second:
                self._lost_told_second = second
                self._tell_lost()
        for failure in failures:
            self._tell(failure, second)

    def close(self) -> None:
        """Log what was only counted, and close the file."""
        self._tell_untold()
        if self._lost_count:
            self._tell_lost()
        if self._file is not None:
            self._file.close()
            self._file = None

    # Files

    def _write(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        if self._file is not None and (
            self._file.is_deleted or self._is_full(self._file.size, len(data))
        ):
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = self._open(len(data))
        self._file.append(data)

    def _is_full(self, size: int, more: int) -> bool:
        return size > 0 and size + more > self._file_bytes

    def _open(self, more: int) -> LineFile:
        """Return the newest file that has room and no other writer, or a new one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        there = self._numbers()
        for number in itertools.count(max(there, default=1)):
            self._path = self._path_of(number)
            try:
                file = LineFile(self._path)
            except BlockingIOError:
                continue  # another cluster's worker of this name, started in the same folder
            if file.cut_bytes:
                log.warning(
                    "dead_letters.truncated",
                    path=str(self._path),
                    byte_count=file.cut_bytes,
                    hint="a crash or a full disk left an incomplete dead letter at its end",
                    next="the incomplete letter is removed, and new ones are appended",
                )
            if not self._is_full(file.size, more):
                self._drop_old(sorted({*there, number}))
                return file
            file.close()
        raise AssertionError("there is always another number")

    def _drop_old(self, numbers: list[int]) -> None:
        for number in numbers[: -self._kept_max] if self._kept_max is not None else []:
            path = self._path_of(number)
            # Skip a file that another cluster writes to; retry one that cannot be deleted.
            with contextlib.suppress(OSError):
                LineFile(path).close()
                path.unlink()
                log.warning(
                    "dead_letters.deleted",
                    path=str(path),
                    why=f"--keep-dead-letters {self._kept_max}",
                    next="its letters are deleted; newer files stay",
                )

    def _path_of(self, number: int) -> Path:
        return self._folder / f"{self._name}{'' if number == 1 else f'.{number}'}{SUFFIX}"

    def _numbers(self) -> list[int]:
        pattern = re.compile(rf"{re.escape(self._name)}(?:\.([1-9]\d*))?{re.escape(SUFFIX)}")
        names = map(pattern.fullmatch, (path.name for path in self._folder.iterdir()))
        return [int(match[1] or 1) for match in names if match is not None]

    def _line(self, failure: Failure, time: str) -> bytes:
        payload = failure.payload
        values: dict[str, Any] = {
            "time": time,
            "pipeline": failure.pipeline,
            "step": failure.step,
            "key": failure.key,
            "error": failure.error,
            "at": failure.at,
            "traceback": failure.traceback,
            "payload": None if payload is None else base64.b64encode(payload).decode("ascii"),
            "record": failure.record,
            "worker": self._worker,
        }
        return json.dumps(values, default=_key_as_json).encode() + b"\n"

    # The log

    def _tell_lost(self) -> None:
        log.error(
            "dead_letters.write_failed",
            path=str(self._path),
            reason=self._lost_reason,
            lost_count=self._lost_count,
            hint="free disk space or grant permission; records that fail until then are lost",
        )
        self._lost_count = 0

    def _tell(self, failure: Failure, second: int) -> None:
        self.count_by_step[failure.step] += 1
        if second != self._told_second:
            self._tell_untold()
            self._told_second, self._told_count = second, 0
        if self._told_count == TOLD_EACH_S:
            self._untold[failure.step] += 1
            return
        self._told_count += 1
        log.error(
            "record.failed",
            pipeline=failure.pipeline,
            step=failure.step,
            key=failure.key,
            error=failure.error,
            at=failure.at,
            dead_letters=str(self._path),
            **({"traceback": failure.traceback} if self._shows_traceback else {}),
        )

    def _tell_untold(self) -> None:
        for step, count in self._untold.items():
            log.error("records.failed", step=step, record_count=count, path=str(self._path))
        self._untold.clear()


def _key_as_json(key: object) -> Any:
    """Return the key for JSON; bytes, which JSON does not have, become their Python text."""
    return repr(key)
