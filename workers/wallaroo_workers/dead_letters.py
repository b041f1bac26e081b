"""Keeps the records that user code could not take, one JSON object a line."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import structlog

from wallaroo.operators.failures import Failure

log = structlog.get_logger()

TOLD_EACH_S = 5
"""Failures told one by one in any second; the others of that second are counted."""


class DeadLetters:
    """One file of one worker, made when the first record fails."""

    def __init__(self, folder: str, application: str, worker: str) -> None:
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in application)
        self._path = Path(folder) / f"{name}-{worker}.jsonl"
        self._file: IO[str] | None = None
        self._told_second = 0
        self._told_count = 0
        self._untold: Counter[str] = Counter()
        self._lost_count = 0
        self._lost_reason = ""
        self._lost_told_second = 0
        self.count_by_step: Counter[str] = Counter()

    def add(self, failures: list[Failure]) -> None:
        """Write ``failures`` down, and tell of them at a bounded rate."""
        now = datetime.now(UTC)
        second = int(now.timestamp())
        lines = [self._line(failure, now.isoformat()) for failure in failures]
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("a", encoding="utf-8")
            self._file.write("".join(lines))
            self._file.flush()
        except OSError as error:
            self._file = None
            self._lost_count += len(failures)
            self._lost_reason = str(error)
            if second != self._lost_told_second:
                self._lost_told_second = second
                self._tell_lost()
        for failure in failures:
            self._tell(failure, second)

    def close(self) -> None:
        """Tell what was only counted, and close the file."""
        self._tell_untold()
        if self._lost_count:
            self._tell_lost()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tell_lost(self) -> None:
        log.error(
            "dead_letters.not_written",
            path=str(self._path),
            reason=self._lost_reason,
            lost_count=self._lost_count,
            hint="make room or permission there; failing records are lost until then",
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
            dead_letters=str(self._path),
        )

    def _tell_untold(self) -> None:
        for step, count in self._untold.items():
            log.error("records.failed", step=step, record_count=count, path=str(self._path))
        self._untold.clear()

    @staticmethod
    def _line(failure: Failure, time: str) -> str:
        payload = failure.payload
        values: dict[str, Any] = {
            "time": time,
            "pipeline": failure.pipeline,
            "step": failure.step,
            "key": failure.key,
            "error": failure.error,
            "traceback": failure.traceback,
            "payload": None if payload is None else base64.b64encode(payload).decode("ascii"),
            "record": failure.record,
        }
        return json.dumps(values, default=_key_as_json) + "\n"


def _key_as_json(key: object) -> Any:
    """JSON has no bytes; they are shown as Python writes them."""
    return repr(key)
