"""Names that applications for Wallaroo 0.6 import, and that need nothing else here."""

import datetime
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO, TypeVar

PACKAGE = "wallaroo"

C = TypeVar("C", bound=type[Any])


class Unbuffered:
    """A stream that writes at once what it is given; all else is that of ``stream``."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, data: str) -> None:
        """Write ``data`` and flush."""
        self.stream.write(data)
        self.stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all ``lines`` and flush."""
        self.stream.writelines(lines)
        self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def dt_to_timestamp(dt: datetime.datetime) -> float:
    """Return the seconds since 1970 UTC; a time without a zone is in the system's zone."""
    return dt.timestamp()


def attach_to_module(cls: C, cls_name: str, func: Callable[..., Any], idx: int | None = None) -> C:
    """Make ``cls`` an attribute of the package, so that pickle finds it there, and return it.

    Its name is ``CLS_NAME__FUNCTION``, or ``CLS_NAME_IDX__FUNCTION``.
    """
    number = f"_{idx}" if idx else ""
    name = f"{cls_name}{number}__{func.__name__}"
    for target, attribute, value in (
        (cls, "__qualname__", name),
        (cls, "__module__", PACKAGE),
        (sys.modules[PACKAGE], name, cls),
    ):
        setattr(target, attribute, value)
    return cls


def set_command_line(arguments: Iterable[str]) -> None:
    """Make ``wallaroo._ARGS`` the whole command line, for modules of the application."""
    vars(sys.modules[PACKAGE])["_ARGS"] = tuple(arguments)
