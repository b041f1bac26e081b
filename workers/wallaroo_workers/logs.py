"""One schema for all log lines, always on stderr: console on a terminal, JSON otherwise.

Every line has ``timestamp``, ``level``, ``process`` and ``event``, and other facts by event.

Nothing here depends on the configuration of structlog or ``logging`` in this process. That belongs
to the application: a module that configures them changes its own lines, not ours.
"""

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from wallaroo.describing import plain, text_of
from wallaroo_workers.log_output import LogOutput

Form = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]

RECENT_LINES = 200
VALUE_LENGTH_MAX = 2000
WRITTEN_LENGTH_MAX = 100_000
_NESTED_MAX = 8
_ITEMS_MAX = 1000
_FIRST = ("timestamp", "level", "process", "event")
_TOLD_APART = ("timestamp", "level", "event")
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_recent: deque[dict[str, Any]] = deque(maxlen=RECENT_LINES)
_untold: deque[dict[str, Any]] = deque(maxlen=RECENT_LINES)
"""Lines that ``new_lines`` has not returned yet."""


class _Telling:
    """How this process writes its lines; before it is configured, structlog does."""

    process = ""
    level = logging.INFO
    output: LogOutput | None = None
    render: Callable[[dict[str, Any]], str] = json.dumps
    library: logging.Logger | None = None
    """Where lines go if this process is the user's."""


class Log:
    """Logs events; facts are keyword arguments."""

    def debug(self, event: str, **facts: Any) -> None:
        """Log a detail."""
        _tell("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """Log what happens in normal operation."""
        _tell("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Log what an operator should look at."""
        _tell("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """Log an error."""
        _tell("error", event, facts)

    def critical(self, event: str, **facts: Any) -> None:
        """Log a bug of ours."""
        _tell("critical", event, facts)

    def exception(self, event: str, **facts: Any) -> None:
        """Log an error with the exception that is being handled."""
        _tell("error", event, {"exc_info": True, **facts})


def get_logger() -> Log:
    """Return the logger of our own modules."""
    return Log()


def configure_logs(process: str, *, level: Level = "info", form: Form = "auto") -> None:
    """Send our log and the application's to stderr, under the name of this process."""
    forget_configuration()
    number = _LEVELS[level]
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_console = form == "console" or (form == "auto" and is_terminal)
    _Telling.process, _Telling.level = process, number
    _Telling.render = _console(colors=is_terminal) if is_console else _json_line
    _Telling.output = LogOutput(2, _dropped)
    # Applications, and the libraries they use, log through the standard library or structlog.
    logging.basicConfig(handlers=[_Handler()], level=number, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _from_structlog],
        wrapper_class=structlog.make_filtering_bound_logger(number),
    )


def log_as_library(*, level: Level) -> None:
    """Pass our lines to the logger ``wallaroo`` of ``logging``, since this process is the user's.

    Nothing is changed if it is configured as one of ours.
    """
    if _Telling.output is None:
        _Telling.level = _LEVELS[level]
        _Telling.library = logging.getLogger("wallaroo")


def forget_configuration() -> None:
    """Return our lines to structlog, as before ``configure_logs``."""
    _Telling.library = None
    if _Telling.output is not None:
        _Telling.output.close()
        _Telling.output = None


def set_log_level(level: int) -> None:
    """Show lines of this level and above from now on, such as ``logging.WARNING``."""
    _Telling.level = level
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


# Where lines come from


def _tell(level: str, event: str, facts: dict[str, Any]) -> None:
    if _Telling.library is not None:
        if _LEVELS[level] >= _Telling.level:
            _pass_on(_Telling.library, level, event, facts, _exception(facts.pop("exc_info", None)))
    elif _Telling.output is None:
        # Nothing was configured, as in tests.
        getattr(structlog.get_logger(), level)(event, **facts)  # noqa: TID251
    elif _LEVELS[level] >= _Telling.level:
        _put(level, event, facts, facts.pop("exc_info", None))


class _Handler(logging.Handler):
    """Receives lines of the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        facts = {
            name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD
        }
        try:
            event = record.getMessage()
        except BaseException:  # noqa: BLE001  arguments are the user's
            event = text_of(record.msg, str)
        level = record.levelname.lower()
        _put(level, event, {"logger": record.name, **_kept_apart(facts)}, record.exc_info)


def _from_structlog(_logger: Any, method: str, values: MutableMapping[str, Any]) -> Any:
    event, error = values.pop("event", ""), values.pop("exc_info", None)
    level = "error" if method == "exception" else method
    _put(level, event, _kept_apart(values), error)
    raise structlog.DropEvent


def _kept_apart(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Rename facts of the application that have the name of a field of every line."""
    taken = (*_FIRST, "logger", "exc_info")
    return {f"extra_{name}" if name in taken else name: value for name, value in facts.items()}


def _pass_on(
    library: logging.Logger, level: str, event: str, facts: dict[str, Any], error: Any
) -> None:
    """Remember a line and log it in the way of ``logging``."""
    shown = {name: _safe(value) for name, value in facts.items()}
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    _remember({"timestamp": now, "level": level, "process": "", "event": event, **shown}, error)
    text = ", ".join(f"{name}: {value}" for name, value in shown.items())
    library.log(_LEVELS[level], "%s: %s", event, text, exc_info=error)


# One line


def _put(level: str, event: object, facts: dict[str, Any], error: Any) -> None:
    """Remember a line and write it."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": now, "level": level, "process": _Telling.process}
    line["event"] = text_of(event, str, WRITTEN_LENGTH_MAX)
    try:
        error = _exception(error)
        for name, value in facts.items():
            line[text_of(name, str)] = _safe(value)
        _remember(line, error)
        text = _Telling.render(line | ({"exc_info": error} if error else {}))
    except BaseException:  # noqa: BLE001  what is told is the user's; a line must not end the process
        text = _Telling.render({name: line[name] for name in _FIRST})
    if _Telling.output is not None:
        _Telling.output.write(text)


def _exception(error: Any) -> Any:
    """Return the exception that is being handled; ``None`` if there is none."""
    if isinstance(error, tuple):
        return error if error[1] is not None else None
    found = error if issubclass(type(error), BaseException) else sys.exception() if error else None
    return None if found is None else (type(found), found, found.__traceback__)


def _safe(value: Any, depth: int = 0) -> Any:
    """Return a value that JSON can hold; lists and dicts stay lists and dicts."""
    kind = type(value)
    if kind in (list, tuple, dict) and depth < _NESTED_MAX and len(value) <= _ITEMS_MAX:
        if kind is dict:
            return {text_of(name, str): _safe(each, depth + 1) for name, each in value.items()}
        return [_safe(each, depth + 1) for each in value]
    return plain(value, WRITTEN_LENGTH_MAX)


def _remember(line: dict[str, Any], error: Any) -> None:
    """Keep the line for later queries."""
    kept = {name: _short(value) for name, value in line.items()}
    if error:
        kept["exception"] = _short(text_of(error[1]))
    _recent.append(kept)
    if kept["level"] != "debug":
        facts = {name: value for name, value in kept.items() if name not in _TOLD_APART}
        told = {"level": kept["level"], "event": kept["event"], "fields": facts}
        _untold.append({"unix_s": time.time(), **told})


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}..."


def _console(*, colors: bool) -> Callable[[dict[str, Any]], str]:
    # Other formatters show local variables, which hold records and keys of users.
    formatter = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=formatter)
    return lambda line: str(renderer(None, line["level"], line))


_with_exception = structlog.processors.ExceptionRenderer(
    # Here, too.
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _json_line(line: dict[str, Any]) -> str:
    values = _with_exception(None, line["level"], line)
    return json.dumps({name: _safe(value) for name, value in values.items()}, allow_nan=False)


def _dropped(count: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": now, "level": "warning", "process": _Telling.process}
    return _Telling.render(
        line
        | {
            "event": "log.lines_dropped",
            "count": count,
            "hint": "stderr was full, closed or not read",
            "next": "lines are written again",
        }
    )
