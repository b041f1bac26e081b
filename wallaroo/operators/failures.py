"""A record that user code could not take: everything one needs to find out why."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

from wallaroo.metrics.probe import WRAPPER_FILE
from wallaroo.routing.keys import display_key, short_repr

RECORD_SHOWN_CHARACTERS_MAX = 200
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
    return Failure(
        pipeline=site.pipeline,
        step=site.step,
        key=None if key is None else _shown_key(display_key(key)),
        error=f"{type(error).__name__}: {_shown(error, str)}",
        traceback=_writable(_traceback(error, site)),
        payload=payload,
        record=_shown(record, repr),
    )


def _traceback(error: BaseException, site: Site) -> str:
    """Return the user's part of the traceback.

    A function whose result was refused had returned, so no frame of it is left: it is named first.
    """
    assert error.__traceback__ is not None
    frames = traceback.extract_tb(error.__traceback__.tb_next)
    if frames and frames[0].filename == WRAPPER_FILE:
        del frames[0]
    function = getattr(site.function, "__func__", site.function)
    code = getattr(function, "__code__", None)
    is_named = any(code is not None and frame.filename == code.co_filename for frame in frames)
    if isinstance(code, CodeType) and not is_named:
        frames.insert(
            0, traceback.FrameSummary(code.co_filename, code.co_firstlineno, code.co_name)
        )
    told = traceback.TracebackException.from_exception(error)
    told.stack = frames
    return "".join(told.format())


def _shown_key(key: Any) -> Any:
    """Return ``key`` as JSON has it where JSON can have it, else as short text."""
    match key:
        case bool():
            return key
        case int() if -INTEGER_SHOWN_MAX <= key <= INTEGER_SHOWN_MAX:
            return key
        case str():
            return _writable(key)
        case tuple():
            return [_shown_key(part) for part in key]
        case _:
            return short_repr(key)


def _shown(value: Any, show: Any) -> str:
    try:
        text = str(show(value))
    except Exception:  # noqa: BLE001  a user's own __repr__ or __str__ may fail in any way
        text = f"<{type(value).__name__} that cannot be shown>"
    if len(text) > RECORD_SHOWN_CHARACTERS_MAX:
        text = text[:RECORD_SHOWN_CHARACTERS_MAX] + "…"
    return _writable(text)


def _writable(text: str) -> str:
    """Return ``text`` without lone surrogates, which no file and no frame takes."""
    return text.encode("utf-8", "backslashreplace").decode()
