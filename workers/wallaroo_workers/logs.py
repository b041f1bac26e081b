"""One schema for all log lines: console on a terminal, JSON otherwise, always on stderr."""

import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from typing import Any

import structlog

RECENT_LINES = 200
VALUE_LENGTH_MAX = 2000

_recent: deque[dict[str, Any]] = deque(maxlen=RECENT_LINES)

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(process: str, *, debug: bool = False) -> None:
    """Send this process's own log, and the application's, to stderr under one name."""
    level = logging.DEBUG if debug else logging.INFO
    renderer: list[Any]
    if sys.stderr.isatty():
        renderer = [structlog.dev.ConsoleRenderer()]
    else:
        renderer = [
            structlog.processors.ExceptionRenderer(
                # Locals would put records and keys of users into the log.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _facts_first,
            structlog.processors.JSONRenderer(),
        ]
    renderer.insert(0, _remember)
    structlog.configure(
        processors=[*_SHARED, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
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
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def set_log_level(level: int) -> None:
    """From now on show lines of this level and above, such as ``logging.WARNING``."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(level)


def recent_lines() -> list[dict[str, Any]]:
    """Return the last lines of this process, oldest first, with their values as text or numbers."""
    return list(_recent)


def _remember(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> Any:
    """Keep the line for whoever asks later; pass it on."""
    line = {name: _short(value) for name, value in values.items() if name != "exc_info"}
    if error := values.get("exc_info"):
        error = error[1] if isinstance(error, tuple) else error
        line["exception"] = _short(error if isinstance(error, BaseException) else sys.exception())
    _recent.append(line)
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
