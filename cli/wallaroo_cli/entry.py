"""Where the installed commands start: before anything heavy is imported.

Importing a command takes some tenths of a second. Ctrl-C in that time ends the process at once;
Python's own handler would raise inside whatever module is being imported, and print where.
"""

import importlib
import os
import signal
from types import FrameType

from wallaroo_cli.tools.readable import make_readable

STATUS_INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended: 128 and the signal's number."""


def run() -> None:
    """``wallaroo-run``."""
    _start("run")


def sender() -> None:
    """``wallaroo-sender``."""
    _start("send")


def receiver() -> None:
    """``wallaroo-receiver``."""
    _start("receive")


def checkpoints() -> None:
    """``wallaroo-checkpoints``."""
    _start("checkpoints")


def cluster() -> None:
    """``wallaroo-cluster``."""
    _start("cluster")


def dead_letters() -> None:
    """``wallaroo-dead-letters``."""
    _start("dead_letters")


def _start(module: str) -> None:
    make_readable()
    handler = signal.getsignal(signal.SIGINT)
    # A process that was started with Ctrl-C ignored, as shells start jobs in the background, keeps
    # ignoring it.
    is_default = handler is signal.default_int_handler
    if is_default:
        signal.signal(signal.SIGINT, _end)
    importlib.import_module("wallaroo_workers.streams").open_missing_streams()
    main = importlib.import_module(f"wallaroo_cli.{module}").main
    if is_default:
        signal.signal(signal.SIGINT, handler)
    main()


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(STATUS_INTERRUPTED)
