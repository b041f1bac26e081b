"""Entry points of the installed commands; they run before anything heavy is imported.

Importing a command takes some tenths of a second. Ctrl-C during that time ends the process
immediately. Python's own handler would raise inside a module that is being imported and print a
traceback.
"""

import importlib
import os
import signal
from types import FrameType

from wallaroo_cli.tools.readable import make_readable

STATUS_INTERRUPTED = 130
"""What shells expect from a program that Ctrl-C ended: 128 plus the signal's number."""


def run() -> None:
    """Run ``wallaroo-run``."""
    _start("run")


def sender() -> None:
    """Run ``wallaroo-sender``."""
    _start("send")


def receiver() -> None:
    """Run ``wallaroo-receiver``."""
    _start("receive")


def checkpoints() -> None:
    """Run ``wallaroo-checkpoints``."""
    _start("checkpoints")


def cluster() -> None:
    """Run ``wallaroo-cluster``."""
    _start("cluster")


def dead_letters() -> None:
    """Run ``wallaroo-dead-letters``."""
    _start("dead_letters")


def _start(module: str) -> None:
    make_readable()
    handler = signal.getsignal(signal.SIGINT)
    # Shells start background jobs with Ctrl-C ignored; such a process keeps ignoring it.
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
