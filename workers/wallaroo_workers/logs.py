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

LEVELS: dict[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

RECENT_MAX = 100
_FACTS = ("timestamp", "level", "process", "event")

_recent: deque[dict[str, Any]] = deque(maxlen=RECENT_MAX)


def _remember(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> Any:
    """Keep the line for the initializer, which shows the last lines of all processes."""
    if values.get("level") != "debug":
        fields = {name: _plain(value) for name, value in values.items() if name not in _FACTS}
        fields["process"] = values.get("process")
        _recent.append(
            {
                "unix_s": time.time(),
                "level": values.get("level"),
                "event": str(values.get("event")),
                "fields": fields,
            }
        )
    return values


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(process: str, *, level: Level = "info", form: Form = "auto") -> None:
    """Send this process's own log, and the application's, to stderr under one name."""
    number = LEVELS[level]
    is_console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: list[Any]
    if is_console:
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        renderer = [
            structlog.processors.ExceptionRenderer(
                # Locals would put records and keys of users into the log.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _facts_first,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=[*_SHARED, _remember, *renderer],
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


def take_recent() -> list[dict[str, Any]]:
    """Return the last lines of this process since the last call; debug lines are not kept."""
    lines = [*_recent]
    _recent.clear()
    return lines


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _facts_first(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put what every line has before what only this one has."""
    return {name: values[name] for name in _FACTS if name in values} | dict(values)
