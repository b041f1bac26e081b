"""Reads dead letters: the files of a folder, each letter with a name that stays its own."""

import base64
import binascii
import hashlib
import heapq
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo_workers.dead_letters import SUFFIX

_NUMBERED = re.compile(r"(?P<stem>.*?)(?:\.(?P<number>[1-9]\d*))?")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    file: str
    """Name of its file, without the suffix."""
    line: int
    """Where it is in that file, from 1 up."""
    digest: str
    """Of all that stands in it; only equal letters have equal ones."""
    time: datetime
    values: dict[str, Any]
    """All that stands in it, by name."""

    @property
    def name(self) -> str:
        """Return what people call it by."""
        return f"{self.file}:{self.line}"

    @property
    def pipeline(self) -> str:
        """Return its pipeline."""
        return str(self.values["pipeline"])

    @property
    def step(self) -> str:
        """Return the step that failed."""
        return str(self.values["step"])

    @property
    def is_result(self) -> bool:
        """Return whether a sink has refused it: its payload is what the encoder returned."""
        return self.step.startswith("sink ") and str(self.values["error"]).startswith("Rejected: ")

    @property
    def payload(self) -> bytes | None:
        """Return what the source got; ``None`` if the source makes records itself."""
        payload = self.values["payload"]
        return None if payload is None else base64.b64decode(payload)


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that is not a dead letter."""

    path: Path
    line: int


def letter_files(folder: Path) -> list[Path]:
    """Return the files, each worker's oldest first. Raises ``ConfigError`` without the folder."""

    def order(path: Path) -> tuple[str, int]:
        match = _NUMBERED.fullmatch(path.name.removesuffix(SUFFIX))
        assert match is not None
        return match["stem"], int(match["number"] or 1)

    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder {folder} with dead letters",
            hint="go to the folder in which the cluster was started, or give --dead-letters; "
            "without a failure there is none",
        )
    return sorted(folder.glob(f"*{SUFFIX}"), key=order)


def read_letters(folder: Path, damages: list[Damage]) -> Iterator[Letter]:
    """Return all letters of a folder, the oldest first; note lines that are not letters.

    Files are read as they are asked for, so that they may have any size.
    """
    files = [read_file(path, damages) for path in letter_files(folder)]
    return heapq.merge(*files, key=lambda letter: letter.time)


def read_file(path: Path, damages: list[Damage]) -> Iterator[Letter]:
    """Return the letters of a file, in order."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # a worker writes it at this moment, or was stopped in it
            letter = _letter(path, number, line)
            if letter is None:
                damages.append(Damage(path, number))
            else:
                yield letter


def _letter(path: Path, number: int, line: bytes) -> Letter | None:
    try:
        values = json.loads(line)
        time = datetime.fromisoformat(values["time"])
        digest = hashlib.sha256(line).hexdigest()[:32]
        letter = Letter(path.name.removesuffix(SUFFIX), number, digest, _in_utc(time), values)
        # What every letter has; a line without it was written by something else.
        _ = letter.pipeline, letter.step, letter.payload, values["error"], values["traceback"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return letter


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
