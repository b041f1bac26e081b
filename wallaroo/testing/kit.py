"""Checks connectors of your own: stops, kills and wakes them at many moments.

The checks start processes and wait for them, which nothing else in `wallaroo` does. So their code
is in `wallaroo_workers.kit`, and is imported when a check is called.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Literal

from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink
from wallaroo.connectors.source_classes import PartitionedSource, PushedSource

__all__ = ["check_pushed_source", "check_sink", "check_source"]


def check_source(
    source: PartitionedSource[Any], *, record_count_max: int = 2_000, seed: int = 0
) -> None:
    """Check that a source gives the same records in the same order after each of its positions.

    Up to ``record_count_max`` records of each partition are read. Then the partition is read again
    from many positions, also with stops at random records, which ``seed`` draws. Raises
    ``AssertionError`` with a sentence that names the first promise that is broken.
    """
    _run("source_check", source, record_count_max=record_count_max, seed=seed)


def check_pushed_source(
    make: Callable[[], PushedSource[Any]],
    push: Callable[[Any], object],
    *,
    record: Callable[[int], Any] = b"record %d".__mod__,
    promise: Literal["at_least_once", "at_most_once"] = "at_least_once",
    seed: int = 0,
) -> None:
    """Check that a pushed source loses nothing if its process is killed, stopped or woken too late.

    ``make`` returns a new source over the same system. It is called in child processes, so it must
    be a function of a module. ``push`` puts a record into the system, which has nothing else to
    deliver; it is called in this process. ``record`` makes the record of a number, as it is in the
    source's ``Delivery``. The check has a journal, into which deliveries go before they are
    acknowledged. *At least once* means that each record gets into it, and that what was
    acknowledged is not delivered again. *At most once* means that no record is delivered twice, and
    that only those may be missing that a process had taken when it ended. Raises
    ``AssertionError`` with a sentence that names the moment and the first promise that is broken.
    """
    _run("pushed_check", make, push, record=record, promise=promise, seed=seed)


def check_sink(
    make: Callable[[], Sink[Any] | OnceSink[Any] | TwoPhaseSink[Any]],
    read_back: Callable[[], Iterable[Any]],
    *,
    record: Callable[[int], Any] = "record {}".format,
    reads_once: bool = False,
    seed: int = 0,
) -> None:
    """Check that a sink keeps its promise if its process is killed, or stopped and woken too late.

    ``make`` returns a new sink over the same target. It is called in child processes, so it must be
    a function of a module. ``read_back`` returns the rows that are in the target, those of a slot
    in their order, as they were given to ``write``. ``record`` makes the record of a number, for
    sinks that cannot write any text. ``reads_once`` says that ``read_back`` returns only rows that
    are new, because the target can be read once, as a pipe. Then any other rows and pieces of rows
    are a mistake. Raises ``AssertionError`` with a sentence that names the moment and the first
    promise that is broken.
    """
    _run("sink_check", make, read_back, record=record, seed=seed, reads_once=reads_once)


def _run(module: str, *given: Any, **options: Any) -> None:
    importlib.import_module(f"wallaroo_workers.kit.{module}").check(*given, **options)
