"""Describes a record that user code failed on, with what is needed to find the reason."""

import os
import traceback
from bdb import BdbQuit
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
"""Beyond this, readers of JSON disagree, and Python may refuse to write the digits."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place in a chain that a line of its generated code belongs to."""

    pipeline: str
    step: str
    has_key: bool
    """Whether the key of the record is known at this line."""
    is_decoder: bool = False
    """Whether the input is the payload, because no record exists yet."""
    function: Callable[..., Any] | None = None
    """The user's function that the line calls, or whose result it checks."""
    node: int = 0
    """The node at which the record is counted, see ``wallaroo.metrics.nodes``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One dead letter."""

    pipeline: str
    step: str
    key: Any
    """The record's key in a form for JSON; ``None`` if the step has no key."""
    error: str
    """The class of the error, and its message: ``ValueError: no such symbol``."""
    traceback: str
    """The user's part of the traceback, innermost call last."""
    payload: bytes | None
    """The bytes that the source read; ``None`` for sources that give anything but bytes."""
    record: str
    """The input of the step, shortened."""
    at: str = ""
    """The user's line that failed, as ``FILE:LINE``; empty if unknown."""


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error in user code is meant for the process that the user started.

    It is Ctrl-C, or the end of a debugger.
    """
    # isinstance() would ask the error itself for its class.
    return issubclass(type(error), KeyboardInterrupt | BdbQuit)


class StopOnError(BaseException):
    """Ends the run of a chain if errors stop the cluster.

    It is not an ``Exception``, so that the user's code does not catch it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


def describe_failure(
    error: BaseException, site: Site, key: Any, record: Any, payload: object
) -> Failure:
    """Return the description of ``error``; the traceback starts at the user's function.

    ``payload`` is what the source gave: a source with a decoder may give anything.
    """
    frames = _frames(error, site)
    return Failure(
        pipeline=site.pipeline,
        step=site.step,
        key=None if key is None else _shown_key(display_key(key)),
        error=error_text(error, RECORD_SHOWN_CHARACTERS_MAX),
        traceback=writable(_traceback(error, frames)),
        payload=_bytes_of(payload),
        record=text_of(record, length_max=RECORD_SHOWN_CHARACTERS_MAX),
        at=writable(_user_line(frames, _code(site))),
    )


def _bytes_of(payload: object) -> bytes | None:
    """Return a payload that a file of dead letters can hold; ``None`` if it is not bytes."""
    return bytes(payload) if isinstance(payload, bytes | bytearray | memoryview) else None


def user_line(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the user's line that raised in ``function``, as ``FILE:LINE``; empty if unknown.

    The caller of ``function`` must have caught the error itself.
    """
    site = Site("", "", has_key=False, function=function)
    return writable(_user_line(_frames(error, site), _code(site)))


def _frames(error: BaseException, site: Site) -> list[traceback.FrameSummary]:
    """Return the user's part of the traceback, innermost call last.

    A function whose result was refused has returned, so it has no frame; it is added first.
    """
    try:
        found = traceback_of(error)
        frames = [] if found is None else [*traceback.extract_tb(found.tb_next)]
    except BaseException:  # noqa: BLE001  the loader of the user's module reads the lines
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
    except BaseException:  # noqa: BLE001  a callable object of the user
        return None
    return code if isinstance(code, CodeType) else None


def _traceback(error: BaseException, frames: Sequence[traceback.FrameSummary]) -> str:
    try:
        described = traceback.TracebackException.from_exception(error)
        described.stack = traceback.StackSummary.from_list(frames)
        return "".join(described.format())
    except BaseException:  # noqa: BLE001  causes, notes and attributes may be anything
        lines = traceback.format_list(frames)
        return "".join(["Traceback (most recent call last):\n", *lines, f"{error_text(error)}\n"])


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return an error's traceback, even if its class overrides that attribute."""
    found: TracebackType | None = _TRACEBACK.__get__(error)
    return found


def forget_traceback(error: BaseException) -> None:
    """Remove an error's traceback; ordinary assignment fails for a frozen dataclass."""
    _TRACEBACK.__set__(error, None)


def _user_line(frames: Sequence[traceback.FrameSummary], code: CodeType | None) -> str:
    """Return the innermost line of the user's own code, not of a library that it called."""
    own_file = None if code is None else code.co_filename
    for frame in reversed(frames):
        if frame.filename == own_file or not _is_library(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _is_library(path: str) -> bool:
    """Return whether a file belongs to Python, an installed package or us, or is not a file."""
    folders = path.split(os.sep)
    return (
        path.startswith((_PYTHON, _OURS, "<"))
        or "wallaroo_workers" in folders
        or "site-packages" in folders
        or "dist-packages" in folders
        or "wallaroo_workers" in folders
    )


def _shown_key(key: object) -> Any:
    """Return ``key`` in a form for JSON, shortened."""
    return _as_json(short_key(key)[0])


def _as_json(key: object) -> Any:
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
