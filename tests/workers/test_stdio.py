"""Lines from and to pipes: where one ends, and what stays in one piece."""

import os
import select
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wallaroo
from tests.workers.kit.checked_pushed import stdin_over, stdout_over
from wallaroo.testing.kit import check_pushed_source, check_sink
from wallaroo_connectors import stdio
from wallaroo_connectors.stdio import PIPE_BYTES, StdinSource, StdoutSink


def lines_of(data: bytes, piece: int = stdio.READ_BYTES) -> list[bytes]:
    """Return what the source reads from a pipe that holds this."""
    at = 0

    def read(_descriptor: int, _size: int) -> bytes:
        nonlocal at
        at += piece
        return data[at - piece : at]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", read)
        patch.setattr(select, "select", lambda *_: ([0], [], []))
        source = StdinSource(bytes)
        source.open()
        return [each.record for each in source.receive() if each is not None]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe, and a descriptor of both of its ends that keeps it open."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield path, descriptor
    os.close(descriptor)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    pieces: list[bytes] = []

    def write(_descriptor: int, data: memoryview) -> int:
        pieces.append(bytes(data))
        return len(data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        yield pieces


@given(st.lists(st.text("ab\r ", max_size=5)), st.integers(1, 7))
def test_a_line_is_whole_however_it_arrives(texts: list[str], piece: int) -> None:
    lines = [text.rstrip("\r").encode() for text in texts]
    assert lines_of(b"".join(line + b"\n" for line in lines), piece) == lines
    assert lines_of(b"".join(line + b"\r\n" for line in lines), piece) == lines


def test_the_last_line_needs_no_end() -> None:
    assert lines_of(b"a\n\nb") == [b"a", b"", b"b"]
    assert lines_of(b"") == []


def test_a_line_that_does_not_end_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LINE_BYTES_MAX", 10)
    with pytest.raises(wallaroo.SourceError, match="longer than 10 bytes"):
        lines_of(b"x" * 11)


def test_the_source_yields_nothing_while_the_pipe_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "select", lambda *_: ([], [], []))
    source = StdinSource(bytes)
    source.open()
    with closing(source.receive()) as received:  # type: ignore[type-var]
        assert next(received) is None


@pytest.mark.parametrize(
    ("sink", "records", "shown"),
    [
        (StdoutSink(bytes), [b"a\n", "b\n"], b"a\nb\n"),
        (StdoutSink(), [1, ("a", 2)], b"1\n('a', 2)\n"),
        (StdoutSink(), ["\udc80"], b"\\udc80\n"),
    ],
)
def test_rows_are_written_as_encoded_and_records_as_lines(
    sink: StdoutSink, records: list[Any], shown: bytes, written: list[bytes]
) -> None:
    sink.write(records)
    assert b"".join(written) == shown


def test_lines_stay_whole_beside_those_of_other_workers(written: list[bytes]) -> None:
    lines = [b"%0999d\n" % number for number in range(10)]
    StdoutSink(bytes).write([*lines, b"x" * 9000, b"end\n"])
    assert b"".join(written) == b"".join(lines) + b"x" * 9000 + b"end\n"
    assert all(len(piece) <= PIPE_BYTES for piece in written if not piece.startswith(b"x"))
    assert all(piece.endswith(b"\n") for piece in written if not piece.startswith(b"x"))


def test_a_closed_pipe_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_descriptor: int, _data: memoryview) -> int:
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(wallaroo.SinkError, match="the standard output is closed") as raised:
            StdoutSink().write([1])
    assert raised.value.hint


def test_a_decoder_that_cannot_be_called_is_a_mistake_of_build() -> None:
    (mistake,) = StdinSource(5).mistakes_at("app.py:1")
    assert "decoder" in mistake


def test_one_pipeline_reads_the_standard_input() -> None:
    builder = wallaroo.ApplicationBuilder("two")
    for name in ("first", "second"):
        builder.new_pipeline(name, StdinSource(bytes)).to_sink(StdoutSink(name=name))
    with pytest.raises(wallaroo.WallarooParameterError, match="read it in one pipeline"):
        builder.build()


def test_the_source_delivers_no_line_twice_and_takes_none_too_early(pipe: tuple[Path, int]) -> None:
    path, descriptor = pipe
    check_pushed_source(
        partial(stdin_over, path),
        lambda line: os.write(descriptor, line + b"\n"),
        promise="at_most_once",
    )


def test_the_sink_loses_no_line_and_cuts_none(pipe: tuple[Path, int]) -> None:
    path, descriptor = pipe

    def read_back() -> list[str]:
        # The check reads behind each case, and one case fits into the pipe.
        try:
            return os.read(descriptor, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []

    # Each write is of several lines, and there are several writes in a batch.
    line = "{:0250}".format
    check_sink(partial(stdout_over, path), read_back, record=line, reads_once=True)


def test_lines_outlast_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"a\nb\nc", b"d\n", b""]
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda *_: pieces.pop(0))
        patch.setattr(select, "select", lambda *_: ([0], [], []))
        source = StdinSource(bytes)
        source.open()
        first = next(source.receive())
        source.open()
        rest = [each.record for each in source.receive() if each is not None]
    assert first is not None
    assert (first.record, rest) == (b"a", [b"b", b"cd"])
