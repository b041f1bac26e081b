"""A record that user code could not take: everything one needs to find out why."""

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

from wallaroo.describing import error_text, text_of, writable
from wallaroo.metrics.probe import WRAPPER_FILE
from wallaroo.routing.keys import display_key, short_repr
from wallaroo.routing.short_keys import short_key

RECORD_SHOWN_CHARACTERS_MAX = 200
_PYTHON = os.path.join(os.path.dirname(os.__file__), "")
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
INTEGER_SHOWN_MAX = 1 << 64
"""Beyond it readers of JSON disagree, and Python may refuse to write it at all."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place in a chain that a line of the written code stands for."""

    pipeline: str
    step: str
    has_key: bool
    """Whether the record's key is known there."""
    is_decoder: bool = False
    """There is no record yet: what enters is the payload."""
    function: Callable[..., Any] | None = None
    """The user's function whose call, or whose result, is looked at there."""
    node: int = 0
    """Where the record is counted, as ``wallaroo.metrics.nodes`` numbers places."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One dead letter."""

    pipeline: str
    step: str
    key: Any
    """The record's key as JSON can show it; ``None`` where the step has no key."""
    error: str
    """Kind and message: ``ValueError: no such symbol``."""
    traceback: str
    """The user's part of the traceback, innermost call last."""
    payload: bytes | None
    """The bytes as the source got them; ``None`` for sources that make their own records."""
    record: str
    """The record as it entered the step, shortened."""
    at: str = ""
    """The user's line at which it happened, as ``FILE:LINE``; empty if there is none."""


class StopOnError(BaseException):
    """Ends the run of a chain where errors are to stop the cluster.

    Not an ``Exception``: the chain that it passes through would take it for the user's.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def describe_failure(
    error: BaseException, site: Site, key: Any, record: Any, payload: bytes | None
) -> Failure:
    """Return the facts of ``error``; the traceback starts at the user's function."""
    frames = _frames(error, site)
    return Failure(
        pipeline=site.pipeline,
        step=site.step,
        key=None if key is None else _shown_key(display_key(key)),
        error=error_text(error, RECORD_SHOWN_CHARACTERS_MAX),
        traceback=writable(_traceback(error, frames)),
        payload=payload,
        record=text_of(record, length_max=RECORD_SHOWN_CHARACTERS_MAX),
        at=writable(_place(frames, _code(site))),
    )


def _frames(error: BaseException, site: Site) -> list[traceback.FrameSummary]:
    """Return the user's part of the traceback, innermost call last.

    A function whose result was refused had returned, so no frame of it is left: it is named first.
    """
    try:
        found = traceback_of(error)
        frames = [] if found is None else [*traceback.extract_tb(found.tb_next)]
    except BaseException:  # noqa: BLE001  lines are read by the loader of the user's module
        frames = []
    if frames and frames[0].filename == WRAPPER_FILE:
        del frames[0]
    code = _code(site)
    is_named = any(code is not None and frame.filename == code.co_filename for frame in frames)
    if code is not None and not is_named:
        frames.insert(
            0, traceback.FrameSummary(code.co_filename, code.co_firstlineno, code.co_name)
        )
    return frames


def _code(site: Site) -> CodeType | None:
    """Return the code of the user's function, if it is written in Python."""
    try:
        function = getattr(site.function, "__func__", site.function)
        code = getattr(function, "__code__", None)
    except BaseException:  # noqa: BLE001  an object of the user's that is called
        return None
    return code if isinstance(code, CodeType) else None


def _traceback(error: BaseException, frames: Sequence[traceback.FrameSummary]) -> str:
    try:
        told = traceback.TracebackException.from_exception(error)
        told.stack = traceback.StackSummary.from_list(frames)
        return "".join(told.format())
    except BaseException:  # noqa: BLE001  causes, notes and attributes may be anything
        lines = traceback.format_list(frames)
        return "".join(["Traceback (most recent call last):\n", *lines, f"{error_text(error)}\n"])


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an error's traceback, whatever its class says of that attribute."""
    found: TracebackType | None = _TRACEBACK.__get__(error)
    return found


def forget_traceback(error: BaseException) -> None:
    """Take an error's traceback away; ordinary assignment fails for a frozen dataclass."""
    _TRACEBACK.__set__(error, None)


def _place(frames: Sequence[traceback.FrameSummary], code: CodeType | None) -> str:
    """Return the innermost line that the user wrote, not one of a library that it called."""
    own_file = None if code is None else code.co_filename
    for frame in reversed(frames):
        if frame.filename == own_file or not _is_library(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _is_library(path: str) -> bool:
    """Return whether a file is of Python, of an installed package, or ours; or not a file."""
    folders = path.split(os.sep)
    return (
        path.startswith((_PYTHON, _OURS, "<"))
        or "site-packages" in folders
        or "dist-packages" in folders
    )


def _shown_key(key: Any) -> Any:
    """Return ``key`` as JSON can hold it, cut where it is long."""
    return _as_json(short_key(key)[0])


def _as_json(key: Any) -> Any:
    match key:
        case bool():
            return key
        case int() if -INTEGER_SHOWN_MAX <= key <= INTEGER_SHOWN_MAX:
            return key
        case str():
            return writable(key)
        case tuple():
            return [_as_json(part) for part in key]
        case _:
            return short_repr(key)
