"""One process of the original's kind: the initializer with its own worker, or one other worker."""

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from wallaroo_cli.application_choice import warn_of_misspelled
from wallaroo_cli.original.companion import INITIALIZER
from wallaroo_cli.original.initializer import run_initializer
from wallaroo_cli.original.lines import say
from wallaroo_cli.original.options import OPTIONS, OriginalOptions, parse_original
from wallaroo_cli.original.worker import run_worker
from wallaroo_workers import forks
from wallaroo_workers.application import load_plan
from wallaroo_workers.logs import configure_logs, get_logger
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.security import check_exposure
from wallaroo_workers.settings import ApplicationSettings

log = get_logger()

HELP = """\
This is the original's command line: each worker is started by hand, the initializer among them.
docs/original.md tells what it does here; without its options, wallaroo-run starts all by itself.
Options: """


def run_original(arguments: Sequence[str]) -> int:
    """Run until the cluster ends, or this worker leaves it; return the exit status.

    Raises ``WallarooError`` for mistakes and for what ends the cluster early.
    """
    signal.signal(signal.SIGTERM, _end_before_the_start)
    if {"--help", "-h"} & set(arguments):
        say(HELP + ", ".join(option.name for option in OPTIONS))
        return 0
    options = parse_original(arguments)
    configure_logs(INITIALIZER if options.is_initializer else options.name)
    # What the application prints is to be seen at once, in a file too.
    os.environ["PYTHONUNBUFFERED"] = "1"
    if options.ignored:
        log.info(
            "options.ignored", options=", ".join(options.ignored), why="they mean nothing here"
        )
    warn_of_misspelled(options.application_arguments, [option.name for option in OPTIONS])
    _check_exposure(options)
    application = ApplicationSettings(
        module=options.application_module,
        paths=[os.getcwd()],
        folder=os.getcwd(),
        arguments=[sys.argv[0], *options.application_arguments],
        command_line=sys.argv,
    )
    if options.resilience_dir:
        # The application may change the current folder when it is imported.
        options = dataclasses.replace(
            options, resilience_dir=os.path.abspath(options.resilience_dir)
        )
    plan = load_plan(application)
    run = run_initializer if options.is_initializer else run_worker
    return int(forks.run(run(options, application, plan)))


def _check_exposure(options: OriginalOptions) -> None:
    for option, address in (
        ("--control", options.control),
        ("--join", options.join),
        ("--my-control", options.my_control),
    ):
        if address:
            host, _ = split_address(address)
            check_exposure(option, host, has_secret=False, has_tls=False)


def _end_before_the_start(_number: int, _frame: FrameType | None) -> NoReturn:
    """There is no cluster yet that could be stopped in order."""
    raise SystemExit(0)
