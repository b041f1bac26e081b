"""Cuts the output of a sink into records, which can be compared and counted."""

from collections.abc import Callable
from typing import Literal

CutOutput = Literal["lines", "frames"] | Callable[[bytes], list[bytes]]
"""How output is cut: into lines, into frames, or by a function.

Each item is the record's bytes as they were written: a line with its end, a frame with its header.
The function gets all output of one connection or file, and returns its whole records in order. A
connection may break in the middle of a record; the unfinished record at the end is left out.
"""

HEADER_BYTES = 4


def lines(data: bytes) -> list[bytes]:
    """Return the whole lines, each with its ``\\n``."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def frames(data: bytes) -> list[bytes]:
    """Return the whole frames, each with its header: 4 bytes, big endian, the payload's length."""
    found = []
    at = 0
    while at + HEADER_BYTES <= len(data):
        end = at + HEADER_BYTES + int.from_bytes(data[at : at + HEADER_BYTES], "big")
        if end > len(data):
            break
        found.append(data[at:end])
        at = end
    return found


class Cutter:
    """Cuts output in the way that the caller of ``simulate`` has chosen."""

    def __init__(self, cut: CutOutput) -> None:
        self._how = cut
        self._cut = _KNOWN[cut] if isinstance(cut, str) else cut

    def cut(self, data: bytes) -> list[bytes]:
        """Return the whole records at the start of ``data``."""
        return self._cut(data)

    def cut_whole(self, data: bytes, where: str, mistakes: list[str]) -> list[bytes]:
        """Return the records of ``data``; add a mistake if it does not end with a whole record."""
        records = self._cut(data)
        if not isinstance(records, list) or not all(isinstance(each, bytes) for each in records):
            mistakes.append(
                f"cut_output returned {type(records).__name__} for the output of {where}; "
                "return a list of bytes, one for each whole record"
            )
            return []
        # A function may leave headers out, so compare lengths only for the known ways.
        is_cut = sum(map(len, records)) == len(data) if isinstance(self._how, str) else records
        if data and not is_cut:
            mistakes.append(
                f"the output of {where} cannot be cut by cut_output={_shown(self._how)}: it is "
                f"{_start_of(data)}; give 'lines' if each record ends with a newline, 'frames' if "
                "each follows its length (4 bytes, big endian), or a function that returns the "
                "list of whole records in some bytes"
            )
        return records


_KNOWN: dict[str, Callable[[bytes], list[bytes]]] = {"lines": lines, "frames": frames}


def cut_output_mistake(cut: object) -> str | None:
    """Return the mistake in the argument ``cut_output``, if there is one."""
    if cut in _KNOWN if isinstance(cut, str) else callable(cut):
        return None
    return (
        f"cut_output is {cut!r}; give 'lines', 'frames', or a function that returns the list of "
        "whole records in some bytes"
    )


def _shown(cut: object) -> str:
    return repr(cut) if isinstance(cut, str) else str(getattr(cut, "__name__", cut))


def _start_of(data: bytes) -> str:
    return repr(data) if len(data) <= 40 else f"{data[:40]!r}..."
