"""One schema for all log lines, always on stderr: console on a terminal, JSON otherwise.

Every line has ``timestamp``, ``level``, ``process`` and ``event``, and other facts by event.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

Form = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]

RECENT_LINES = 200
VALUE_LENGTH_MAX = 2000
_TOLD_APART = ("timestamp", "level", "event")

_recent: deque[dict[str, Any]] = deque(maxlen=RECENT_LINES)
_untold: deque[dict[str, Any]] = deque(maxlen=RECENT_LINES)
"""Those that ``new_lines`` has not returned."""

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(process: str, *, level: Level = "info", form: Form = "auto") -> None:
    """Send this process's own log, and the application's, to stderr under one name."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: list[Any]
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # Others show locals, and so records and keys of users.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    else:
        renderer = [
            structlog.processors.ExceptionRenderer(
                # Here, too.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _facts_first,
            structlog.processors.JSONRenderer(),
        ]
    renderer.insert(0, _remember)
    structlog.configure(
        processors=[*_SHARED, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    structlog.contextvars.bind_contextvars(process=process)
    # Applications, and the libraries they use, log through the standard library.
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            *_SHARED,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=number, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def set_log_level(level: int) -> None:
    """From now on show lines of this level and above, such as ``logging.WARNING``."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(level)


def recent_lines() -> list[dict[str, Any]]:
    """Return the last lines of this process, oldest first, with their values as text or numbers."""
    return list(_recent)


def new_lines() -> list[dict[str, Any]]:
    """Return the last lines since the last call, without those for debugging, as a report has them.

    Each has ``unix_s``, ``level``, ``event`` and ``fields``.
    """
    lines = [*_untold]
    _untold.clear()
    return lines


def _remember(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> Any:
    """Keep the line for whoever asks later; pass it on."""
    line = {name: _short(value) for name, value in values.items() if name != "exc_info"}
    if error := values.get("exc_info"):
        error = error[1] if isinstance(error, tuple) else error
        line["exception"] = _short(error if isinstance(error, BaseException) else sys.exception())
    _recent.append(line)
    if line.get("level") != "debug":
        facts = {name: value for name, value in line.items() if name not in _TOLD_APART}
        told = {"level": line.get("level"), "event": line.get("event"), "fields": facts}
        _untold.append({"unix_s": time.time(), **told})
    return values


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}..."


def _facts_first(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put what every line has before what only this one has."""
    first = ("timestamp", "level", "process", "event")
    return {name: values[name] for name in first if name in values} | dict(values)
