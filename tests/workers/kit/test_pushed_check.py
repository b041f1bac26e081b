"""`check_pushed_source` finds broken promises of sources that are pushed, and only these."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.workers.kit import checked_pushed as sources
from wallaroo.testing.kit import check_pushed_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("source", [sources.Spool, sources.SpoolOnLoop])
def test_a_source_that_delivers_again_what_is_not_acknowledged_passes(
    folder: Path, source: Callable[[Path], Any]
) -> None:
    check_pushed_source(partial(source, folder), partial(sources.push, folder))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (sources.DeletesFirst, "closed and opened again.*this record is lost: b'record"),
        (sources.NeverDeletes, "this record was acknowledged, and is delivered again"),
        (sources.Remembers, "closed and opened again.*this record is lost"),
        (sources.AcksOnce, "a call failed when a process was stopped before ack"),
        (sources.Locked, "a call failed when a process was killed"),
        (sources.Garbled, "a record arrived that was never pushed: b'RECORD"),
        (sources.EndsEarly, "receive returned .*, although records follow"),
    ],
)
def test_a_source_that_breaks_its_promise_is_found(
    folder: Path, source: Callable[[Path], Any], what: str
) -> None:
    with pytest.raises(AssertionError, match=what):
        check_pushed_source(partial(source, folder), partial(sources.push, folder))


def test_a_source_may_lose_records_if_it_says_so(folder: Path) -> None:
    make = partial(sources.DeletesFirst, folder)
    check_pushed_source(make, partial(sources.push, folder), promise="at_most_once")


def test_no_source_may_deliver_a_record_twice_if_it_says_at_most_once(folder: Path) -> None:
    make = partial(sources.Spool, folder)
    with pytest.raises(AssertionError, match="this record is delivered twice"):
        check_pushed_source(make, partial(sources.push, folder), promise="at_most_once")


def test_records_have_to_be_different(folder: Path) -> None:
    make = partial(sources.Spool, folder)
    with pytest.raises(AssertionError, match="record\\(\\) gave a record twice"):
        check_pushed_source(make, partial(sources.push, folder), record=lambda _: b"one")


def test_anything_else_is_refused() -> None:
    with pytest.raises(AssertionError, match="return an object of a class derived from"):
        check_pushed_source(list, print)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="give at_least_once or at_most_once"):
        check_pushed_source(list, print, promise="never")  # type: ignore[arg-type]
