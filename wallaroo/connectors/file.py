"""File source and file sink as values of the plan, and the names of staged output.

Paths are as the application passed them: relative paths start in the folder in which the command
was started. A staged file is hidden, in the folder of the sink's own file: patterns such as
``out.txt*`` and ``*`` do not match it.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from wallaroo.connectors.base import Assignment, Promise, Source, identity_of
from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.errors import ClusterError
from wallaroo.timing.spec import SourceTime

Framing = Literal["length", "newline"]
FRAMINGS: tuple[Framing, ...] = ("length", "newline")


@dataclass(frozen=True, slots=True)
class FileSource(Source):
    """Reads the file at ``path`` once, up to its length at the start of the run."""

    path: str
    framing: Framing
    """Whether a payload has a length header, or is a line without its line end."""
    header_length: int
    """Bytes of the header; 0 if payloads are lines."""
    payload_length: str | Callable[[bytes], int]
    """As for a ``TCPSource``; empty if payloads are lines."""
    decode: Callable[[bytes], Any]
    """Converts a payload to a record; ``None`` drops the payload."""
    time: SourceTime | None = None
    """Where the times of its records are from; ``None``: when they were read."""

    assignment = Assignment.ONE_WORKER
    runner = "wallaroo_workers.sources.file:new_runner"
    ends = True

    @property
    def files(self) -> tuple[str, ...]:
        """The file that is read."""
        return (self.path,)

    @property
    def decoder(self) -> Callable[[bytes], Any]:
        """Converts a payload to a record."""
        return self.decode

    @property
    def frames(self) -> PayloadFrames:
        """How payloads lie in the file."""
        return PayloadFrames(self.header_length, self.payload_length)

    def describe(self) -> str:
        """Return one line for the plan."""
        read_as = "lines" if self.framing == "newline" else "frames"
        return f"file source from {self.path}, {read_as}"

    def identity(self) -> str:
        """Return all settings but the time, which the plan has."""
        return identity_of(self, leaving_out=frozenset({"time"}))


@dataclass(frozen=True, slots=True)
class FileSink:
    """Writes exactly what the encoder returned to the file at ``path``."""

    kind: ClassVar[str] = "FileSink"
    runner: ClassVar[str] = "wallaroo_workers.sinks.file:new_runner"
    promise: ClassVar[Promise] = Promise.STAGED_FILE
    takes_bytes: ClassVar[bool] = True

    path: str
    encode: Callable[[Any], bytes | str | None]
    """Converts a record to bytes (``str`` becomes UTF-8); ``None`` writes nothing."""
    name: str | None = None

    @property
    def label(self) -> str:
        """Kind and path."""
        return self.describe()

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"file sink to {self.path}"

    def identity(self) -> str:
        """Return path and encoder: checkpoints refer to output that belongs into this file."""
        return identity_of(self, leaving_out=frozenset({"name"}))


class StagedPart(NamedTuple):
    """The output of one worker between two checkpoints, in a file of its own."""

    name: str
    """Name of the file, in the folder of the sink's file."""
    byte_count: int


def length_to_begin_with(
    path: str,
    length: int,
    length_before: int,
    staged: Sequence[StagedPart],
    found: Mapping[str, int],
) -> int:
    """Return the offset in the sink's file from which ``staged`` parts still have to be appended.

    ``length`` is the current length of the file at ``path``. ``length_before`` is the offset at
    which the parts belong, and ``found`` has the lengths of the parts that exist. Staged files are
    deleted only after all of them are appended to the file and durable. So a missing part proves
    that all are appended, and the result is their end; otherwise it is ``length_before``. The
    caller truncates the file to the result: anything behind it is from an interrupted attempt.
    Raises ``ClusterError`` if committed output is missing.
    """
    is_appended = any(part.name not in found for part in staged)
    start = length_before + (sum(part.byte_count for part in staged) if is_appended else 0)
    if length < start:
        raise ClusterError(
            f"the output file {path} has {length} bytes, but {start} were committed to it",
            hint="put back the file as it was; or give another resilience folder, and so begin "
            "from the start",
        )
    for part in () if is_appended else staged:
        if found[part.name] != part.byte_count:
            raise ClusterError(
                f"the staged output {part.name} of {path} has {found[part.name]} bytes, but "
                f"{part.byte_count} were committed",
                hint="something else has written to it; give another resilience folder, and so "
                "begin from the start",
            )
    return start


def staged_name(path: str, stage: str, number: int) -> str:
    """Return the name of a staged file of the sink at ``path``.

    ``stage`` names one process of one worker, such as ``w1-3``; ``number`` counts its files.
    """
    assert "." not in stage
    return f".{posixpath.basename(path)}.{stage}.{number:010}.staged"


def is_staged(name: str, path: str, stage: str | None = None) -> bool:
    """Return whether ``name`` is a staged file of the sink at ``path``, of one stage or of any.

    A sink at ``out`` and one at ``out.w1`` have no names in common.
    """
    own = re.escape(posixpath.basename(path))
    match = re.fullmatch(rf"\.{own}\.([^.]+)\.\d{{10,}}\.staged", name)
    return match is not None and stage in (None, match[1])
