"""`check_sink` finds broken promises, and only these."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.workers.kit import checked_sinks as sinks
from wallaroo.testing.kit import check_sink


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


def test_an_exactly_once_sink_passes(rows: Path) -> None:
    check_sink(partial(sinks.Rows, rows), partial(sinks.read_rows, rows))


def test_a_sink_of_two_phases_passes(parts: Path) -> None:
    check_sink(partial(sinks.Parts, parts), partial(sinks.read_parts, parts))


def test_an_at_least_once_sink_passes(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    check_sink(partial(sinks.Lines, path), partial(sinks.read_lines, path))


@pytest.mark.parametrize(
    ("sink", "what"),
    [
        (sinks.Unfenced, "a row is there that no checkpoint names"),
        (sinks.NumberLater, "rows? is there"),
        (sinks.Forgetful, "this row is there 2 times"),
    ],
)
def test_a_sink_that_is_not_exactly_once_is_found(
    rows: Path, sink: Callable[[Path], Any], what: str
) -> None:
    with pytest.raises(AssertionError, match=what):
        check_sink(partial(sink, rows), partial(sinks.read_rows, rows))


@pytest.mark.parametrize(
    ("sink", "what"),
    [
        (sinks.CommitsAtOnce, "a row is there that no checkpoint names"),
        (sinks.CommitsOnlyOnce, "a call failed when a process was"),
    ],
)
def test_a_sink_with_broken_phases_is_found(
    parts: Path, sink: Callable[[Path], Any], what: str
) -> None:
    with pytest.raises(AssertionError, match=what):
        check_sink(partial(sink, parts), partial(sinks.read_parts, parts))


def test_a_sink_that_loses_records_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with pytest.raises(AssertionError, match="this row is missing"):
        check_sink(partial(sinks.Lazy, path), partial(sinks.read_lines, path))


def test_anything_else_is_refused() -> None:
    with pytest.raises(AssertionError, match="return an object of a class derived from"):
        check_sink(list, list)  # type: ignore[arg-type]
