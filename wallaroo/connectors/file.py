"""File source and sink, as the plan knows them, and the names of output that is not committed.

Paths are as the application gave them: relative ones begin in the folder that the command was
started in. A staged file lies beside the sink's own and is hidden: what lists ``out.txt`` and
``*`` never sees it.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from wallaroo.errors import ClusterError

Framing = Literal["length", "newline"]
FRAMINGS: tuple[Framing, ...] = ("length", "newline")


@dataclass(frozen=True, slots=True)
class FileSource:
    """Reads the file at ``path`` once, from its begin to the end it has at the start."""

    path: str
    framing: Framing
    """Whether a payload stands behind a length header, or is a line without its end."""
    header_length: int
    """Bytes of the header; 0 where payloads are lines."""
    payload_length: str | Callable[[bytes], int]
    """As for a ``TCPSource``; empty where payloads are lines."""
    decode: Callable[[bytes], Any]
    """Payload to record; ``None`` drops the payload."""

    def describe(self) -> str:
        """One line for the plan."""
        read_as = "lines" if self.framing == "newline" else "frames"
        return f"file source from {self.path}, {read_as}"


@dataclass(frozen=True, slots=True)
class FileSink:
    """Writes exactly what the encoder returned to the file at ``path``."""

    path: str
    encode: Callable[[Any], bytes | str | None]
    """Record to bytes (``str`` becomes UTF-8); ``None`` writes nothing."""

    def describe(self) -> str:
        """One line for the plan."""
        return f"file sink to {self.path}"


class StagedPart(NamedTuple):
    """Output of one worker between two checkpoints, in a file of its own."""

    name: str
    """Without its folder, which is that of the sink's file."""
    byte_count: int


def length_to_begin_with(
    path: str,
    length: int,
    length_before: int,
    staged: Sequence[StagedPart],
    found: Mapping[str, int],
) -> int:
    """Return where in the sink's file the ``staged`` parts are to be written, or were.

    ``length`` is the length of the file at ``path`` now, ``length_before`` the one at which the
    parts belong, ``found`` has the lengths of those parts that are there. Staged files are deleted
    only once all of them stand in the file and are durable. So one that is missing says that they
    do, and the result is then the end of them all; else it is ``length_before``. The file is to be
    cut to the result: what is behind it is an attempt that was interrupted. Raises
    ``ClusterError`` where output that was committed is not there any more.
    """
    is_appended = any(part.name not in found for part in staged)
    begin = length_before + (sum(part.byte_count for part in staged) if is_appended else 0)
    if length < begin:
        raise ClusterError(
            f"the output file {path} has {length} bytes, but {begin} were committed to it",
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
    return begin


def staged_name(path: str, stage: str, number: int) -> str:
    """Return the name of a staged file of the sink at ``path``.

    ``stage`` names one life of one worker, such as ``w1-3``; ``number`` counts its files.
    """
    assert "." not in stage
    return f".{posixpath.basename(path)}.{stage}.{number:010}.staged"


def is_staged(name: str, path: str, stage: str | None = None) -> bool:
    """Tell whether ``name`` is that of a staged file of the sink at ``path``: of one stage or any.

    A sink at ``out`` and one at ``out.w1`` have no name in common.
    """
    own = re.escape(posixpath.basename(path))
    match = re.fullmatch(rf"\.{own}\.([^.]+)\.\d{{10,}}\.staged", name)
    return match is not None and stage in (None, match[1])
