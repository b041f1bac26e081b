"""File sources: every record once, from any position, and a word about what cannot be read."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest
from structlog.testing import capture_logs

from tests.cluster.harness import framed
from wallaroo.connectors.file import FileSource
from wallaroo.errors import ConfigError
from wallaroo.runtime.engine import Engine
from wallaroo_workers.sources import file as file_source
from wallaroo_workers.sources.file import FileRunner

LINES = FileSource("in", "newline", 0, "", bytes)
FRAMES = FileSource("in", "length", 4, ">I", bytes)

PAYLOADS = [b"a", b"", b"ccc", b"dd" * 20, b"", b"f", b"gggggggg", b"h"]
KINDS: list[tuple[FileSource, bytes]] = [
    (LINES, b"\n".join(PAYLOADS)),
    (LINES, b"\r\n".join(PAYLOADS) + b"\r\n"),
    (FRAMES, framed(*PAYLOADS)),
]


class Taker:
    """Stands in for the engine: takes what it is offered, and only then asks for more."""

    def __init__(self) -> None:
        self.ready: list[FileRunner] = []
        self.end_count = 0

    def source_ended(self) -> None:
        self.end_count += 1

    def source_ready(self, source: FileRunner) -> None:
        assert source.has_records
        assert source not in self.ready
        self.ready.append(source)

    async def take(self, count: int = 10**9) -> list[bytes]:
        """Take so many payloads, or all there are."""
        taken: list[bytes] = []
        # A piece without a whole record is followed by the next in the loop's next turn.
        for _ in range(150):
            while self.ready and len(taken) < count:
                source = self.ready[0]
                taken += source.take(min(3, count - len(taken)))
                if not source.has_records:
                    self.ready.remove(source)
                    source.batch_consumed()
            await asyncio.sleep(0)
        return taken


@pytest.fixture(params=[1, 7, 64, 1 << 18], ids=lambda size: f"pieces of {size}")
def read_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(file_source, "READ_BYTES", request.param)
    return int(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "in"


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def runner(
    path: Path, source: FileSource, taker: Taker, position: Any = None, frame_bytes_max: int = 100
) -> FileRunner:
    engine = cast(Engine, taker)
    made = FileRunner(source, 0, "p", str(path), engine, frame_bytes_max, taker.source_ended)
    if position is not None:
        made.restore(msgpack.unpackb(msgpack.packb(position)))
    made.start()
    return made


@pytest.mark.parametrize(("source", "content"), KINDS)
async def test_every_record_comes_once_and_then_the_source_has_ended(
    path: Path, source: FileSource, content: bytes, read_bytes: int
) -> None:
    put(path, content)
    taker = Taker()
    with capture_logs() as logs:
        reader = runner(path, source, taker)
        assert taker.end_count == 0
        assert await taker.take() == PAYLOADS
    assert taker.end_count == 1
    assert reader.is_ended
    assert reader.problem == ""
    assert [line["event"] for line in logs] == ["source.finished"]


@pytest.mark.parametrize("piece", [1, 5, 1000])
@pytest.mark.parametrize(("source", "content"), KINDS)
async def test_from_any_position_the_rest_comes(
    path: Path,
    source: FileSource,
    content: bytes,
    piece: int,
    read_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(path, content)
    positions = []
    for count in range(len(PAYLOADS) + 1):
        taker = Taker()
        reader = runner(path, source, taker)
        assert await taker.take(count) == PAYLOADS[:count]
        positions.append(reader.position())
        reader.stop()
        assert reader.position() == positions[-1]
    monkeypatch.setattr(file_source, "READ_BYTES", piece)
    for count, position in enumerate(positions):
        taker = Taker()
        reader = runner(path, source, taker, position)
        assert reader.position()[2] == len(content)
        assert await taker.take(2) == PAYLOADS[count:][:2]
        again = reader.position()
        assert await taker.take() == PAYLOADS[count:][2:]
        assert reader.is_ended
        taker = Taker()
        runner(path, source, taker, again)
        assert await taker.take() == PAYLOADS[count:][2:]


async def test_an_empty_file_has_ended_at_once(path: Path) -> None:
    put(path, b"")
    taker = Taker()
    reader = runner(path, LINES, taker)
    assert await taker.take() == []
    assert reader.is_ended


async def test_what_is_appended_later_is_not_read(path: Path) -> None:
    put(path, b"one\ntwo")
    taker = Taker()
    reader = runner(path, LINES, taker)
    assert await taker.take(1) == [b"one"]
    position = reader.position()
    put(path, b"one\ntwo and a half\nthree\n")
    assert await taker.take() == [b"two"]
    assert reader.is_ended
    for each, rest in ((position, [b"two"]), (reader.position(), [])):
        taker = Taker()
        runner(path, LINES, taker, each)
        assert await taker.take() == rest


async def test_no_more_is_read_than_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_source, "READ_BYTES", 100)
    put(path, b"12345\n" * 1000)
    read: list[int] = []
    real_read = os.read

    def counting_read(file: int, count: int) -> bytes:
        read.append(count)
        return real_read(file, count)

    monkeypatch.setattr(os, "read", counting_read)
    taker = Taker()
    reader = runner(path, LINES, taker)
    await taker.take(5)
    assert read == [100]
    reader.stop()


async def test_nothing_comes_after_a_stop(path: Path) -> None:
    put(path, b"one\ntwo\n")
    taker = Taker()
    reader = runner(path, LINES, taker)
    reader.stop()
    assert not reader.has_records
    assert reader.take(5) == []
    reader.batch_consumed()
    assert not reader.is_ended
    assert reader.position() == [0, 0, 8]


async def refused(path: Path, source: FileSource, before: list[bytes]) -> str:
    """Demand that the source ends behind these payloads, with a problem; return it."""
    taker = Taker()
    with capture_logs() as logs:
        reader = runner(path, source, taker)
        assert await taker.take() == before
    assert reader.is_ended
    (line,) = logs
    assert (line["event"], line["log_level"], line["path"]) == (
        "source.rejected",
        "error",
        str(path),
    )
    assert line["reason"] == reader.problem
    start = f"the source file {path} was not read to its end: "
    assert reader.problem.startswith(start)
    return reader.problem.removeprefix(start)


async def test_a_damaged_header_ends_the_source_behind_what_was_sound(
    path: Path, read_bytes: int
) -> None:
    put(path, framed(b"one", b"two") + b"\xff\xff\xff\xff" + framed(b"three"))
    assert await refused(path, FRAMES, [b"one", b"two"]) == (
        "the header at byte 14 of the stream, ff ff ff ff, tells a payload of 4294967295 bytes, "
        "more than the 100 allowed"
    )


async def test_the_offset_of_damage_is_that_in_the_file_after_a_restore(path: Path) -> None:
    put(path, framed(b"one", b"two") + b"\xff\xff\xff\xff")
    taker = Taker()
    reader = runner(path, FRAMES, taker, [7, 0, 18])
    assert await taker.take() == [b"two"]
    assert "the header at byte 14 of the stream" in reader.problem


async def test_a_file_that_ends_within_a_frame_is_refused(path: Path, read_bytes: int) -> None:
    put(path, framed(b"one", b"two")[:-1])
    assert await refused(path, FRAMES, [b"one"]) == "it ends within the frame at byte 7"


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_line_that_is_too_long_is_refused(path: Path, end: bytes, read_bytes: int) -> None:
    put(path, b"one\n" + b"x" * 101 + end)
    problem = await refused(path, LINES, [b"one"])
    assert problem == "the line at byte 4 of the stream is longer than the 100 bytes allowed"


async def test_a_file_that_is_cut_while_it_is_read_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "READ_BYTES", 4)
    put(path, b"one\ntwo\n")
    taker = Taker()
    reader = runner(path, LINES, taker)
    os.truncate(path, 4)
    assert await taker.take() == [b"one"]
    assert "it ends at byte 4, but had 8 bytes before" in reader.problem


async def test_a_disk_that_cannot_be_read_ends_the_source(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "READ_BYTES", 4)
    put(path, b"one\ntwo\n")
    taker = Taker()
    reader = runner(path, LINES, taker)

    def fail(_file: int, _count: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    assert await taker.take() == [b"one"]
    assert "reading failed at byte 4: Input/output error" in reader.problem


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda _: None, "cannot be read: No such file or directory"),
        (Path.mkdir, "is not a regular file"),
        (make_fifo, "is not a regular file"),
    ],
)
async def test_a_file_that_cannot_be_opened_is_an_error(
    path: Path, make: Callable[[Path], None], seen: str
) -> None:
    make(path)
    with pytest.raises(ConfigError, match=seen):
        runner(path, LINES, Taker())


async def test_a_file_that_is_shorter_than_before_is_an_error(path: Path) -> None:
    put(path, b"one\n")
    with pytest.raises(ConfigError, match="has 4 bytes; it had 8 when it was first opened"):
        runner(path, LINES, Taker(), [4, 0, 8])
