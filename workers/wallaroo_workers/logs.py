"""One schema for all log lines: console on a terminal, JSON otherwise, always on stderr."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

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


def _facts_first(_logger: Any, _method: str, values: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put what every line has before what only this one has."""
    first = ("timestamp", "level", "process", "event")
    return {name: values[name] for name in first if name in values} | dict(values)
