"""Checks connectors of your own: stops, kills and wakes them at many moments.

The checks start processes and wait for them, which nothing else in `wallaroo` does. So their code
is in `wallaroo_workers.kit`, and is imported when a check is called.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from wallaroo.connectors.sink_classes import OnceSink, Sink, TwoPhaseSink
from wallaroo.connectors.source_classes import PartitionedSource

__all__ = ["check_sink", "check_source"]


def check_source(
    source: PartitionedSource[Any], *, record_count_max: int = 2_000, seed: int = 0
) -> None:
    """Check that a source gives the same records in the same order after each of its positions.

    Up to ``record_count_max`` records of each partition are read. Then the partition is read again
    from many positions, also with stops at random records, which ``seed`` draws. Raises
    ``AssertionError`` with a sentence that names the first promise that is broken.
    """
    _run("source_check", source, record_count_max=record_count_max, seed=seed)


def check_sink(
    make: Callable[[], Sink[Any] | OnceSink[Any] | TwoPhaseSink[Any]],
    read_back: Callable[[], Iterable[Any]],
    *,
    record: Callable[[int], Any] = "record {}".format,
    seed: int = 0,
) -> None:
    """Check that a sink keeps its promise if its process is killed, or stopped and woken too late.

    ``make`` returns a new sink over the same target. It is called in child processes, so it must be
    a function of a module. ``read_back`` returns the rows that are in the target, those of a slot
    in their order, as they were given to ``write``. ``record`` makes the record of a number, for
    sinks that cannot write any text. Raises ``AssertionError`` with a sentence that names the
    moment and the first promise that is broken.
    """
    _run("sink_check", make, read_back, record=record, seed=seed)


def _run(module: str, *given: Any, **options: Any) -> None:
    importlib.import_module(f"wallaroo_workers.kit.{module}").check(*given, **options)
