"""File sinks: records in their order, a cut for each checkpoint, a word when a disk is full."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from wallaroo.checkpoint.manifest import SinkShare, StagedOutput
from wallaroo.connectors.file import StagedPart
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, SinkId, WorkerName
from wallaroo.operators.failures import Failure
from wallaroo.worker.sink_port import SinkContext
from wallaroo_workers.sinks.file import WRITE_BYTES_MAX, FileSinkRunner

W1 = WorkerName("w1")
FIRST, SECOND = CheckpointId(1), CheckpointId(2)
W1_FIRST = ".out.w1-3.0000000001.staged"
W1_SECOND = ".out.w1-3.0000000002.staged"


class Sink(FileSinkRunner):
    """A sink that notes what it reports."""

    def __init__(self, path: Path, stage: str | None) -> None:
        context = SinkContext(
            index=SinkId(0), name="sink 0", pipeline="p", worker=W1, events=self, stage=stage
        )
        super().__init__(str(path), context)
        self.backlogs: list[int] = []
        self.failure: asyncio.Future[WallarooError] = asyncio.get_running_loop().create_future()
        self._is_written = asyncio.Event()

    def backlog_changed(self) -> None:
        self.backlogs.append(self.backlog_bytes)
        if self.queued_bytes == 0:
            self._is_written.set()

    def records_refused(self, sink: SinkId, failures: list[Failure]) -> None:
        raise AssertionError(failures)

    def sink_failed(self, error: WallarooError) -> None:
        self.failure.set_result(error)

    async def everything(self) -> None:
        """Wait until everything is in a file."""
        self._is_written.clear()
        await self._is_written.wait()


@contextlib.asynccontextmanager
async def sink_to(path: Path, stage: str | None = None) -> AsyncIterator[Sink]:
    sink = Sink(path, stage)
    work = asyncio.create_task(sink.run())
    async with asyncio.timeout(60):
        await sink.connected()
        yield sink
    work.cancel()
    sink.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The sink's file, as the initializer has made it."""
    path = tmp_path / "out"
    path.touch()
    return path


async def test_records_are_appended_in_their_order(tmp_path: Path, out: Path) -> None:
    async with sink_to(out) as sink:
        for number in range(100):
            sink.write([b"%d\n" % number])
        assert sink.backlog_bytes == sink.queued_bytes == 190 + 100
        await sink.everything()
    assert contents(tmp_path) == {"out": b"".join(b"%d\n" % number for number in range(100))}
    assert sink.backlogs[-1] == 0


async def test_a_backlog_is_written_a_piece_at_a_time(out: Path) -> None:
    chunk = b"x" * (WRITE_BYTES_MAX // 2)
    async with sink_to(out) as sink:
        for _ in range(5):
            sink.write([chunk])
        sink.write([b"y" * (3 * WRITE_BYTES_MAX)])
        await sink.everything()
    in_chunks = [backlog / len(chunk) for backlog in sink.backlogs]
    assert in_chunks == [9, 7, 6, 0]


async def test_what_is_written_before_a_cut_belongs_to_its_checkpoint(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        sink.write([b"one\n"])
        sink.write([b"two\n"])
        first = sink.end_file(FIRST)
        sink.write([b"three\n"])
        second = sink.end_file(SECOND)
        sink.write([b"four\n"])
        assert await first == StagedPart(W1_FIRST, 8)
        assert await second == StagedPart(W1_SECOND, 6)
        await sink.everything()
    assert contents(tmp_path) == {
        W1_FIRST: b"one\ntwo\n",
        W1_SECOND: b"three\n",
        ".out.w1-3.0000000003.staged": b"four\n",
    }


async def test_a_checkpoint_names_the_parts_that_no_other_has(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        assert sink.write([b"one\n", b"two\n"]) == 8
        sink.cut(FIRST)
        sink.write([b"three\n"])
        share = await sink.cut(SECOND)()
        first, second = StagedOutput(0, W1_FIRST, 8, FIRST), StagedOutput(0, W1_SECOND, 6, SECOND)
        assert share == SinkShare(staged=[first, second])
        sink.committed(SECOND)
        assert await sink.cut(CheckpointId(3))() == SinkShare()


async def test_what_others_append_later_follows_what_is_written(out: Path) -> None:
    async with sink_to(out) as sink:
        sink.write([b"one\n"])
        assert await sink.cut_for_resize(FIRST)() == SinkShare()
        assert sink.queued_bytes == 0


async def test_without_output_there_is_no_part(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        assert await sink.end_file(FIRST) is None
        assert contents(tmp_path) == {}


async def test_what_is_behind_the_last_committed_checkpoint_is_given_up(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        sink.write([b"one\n"])
        await sink.end_file(FIRST)
        sink.write([b"two\n"])
        await sink.end_file(SECOND)
        sink.write([b"three\n"])
        await sink.everything()
        sink.write([b"four\n"])
        late = sink.end_file(CheckpointId(3))
        gone = sink.discard_after(FIRST)
        assert sink.queued_bytes == 0
        sink.write([b"again\n"])
        await gone
        assert late.cancelled()
        part = await sink.end_file(SECOND)
    assert part is not None
    assert contents(tmp_path) == {W1_FIRST: b"one\n", part.name: b"again\n"}


async def test_a_cut_that_is_being_made_is_given_up_as_well(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        sink.write([b"one\n"])
        await sink.everything()
        cut = sink.end_file(FIRST)
        await asyncio.sleep(0)
        await sink.discard_after(CheckpointId(0))
        assert cut.done()
        assert contents(tmp_path) == {}


async def test_committed_parts_are_the_initializers(tmp_path: Path) -> None:
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        sink.write([b"one\n"])
        await sink.end_file(FIRST)
        sink.committed(FIRST)
        await sink.discard_after(CheckpointId(0))
        assert contents(tmp_path) == {W1_FIRST: b"one\n"}


async def test_a_full_disk_is_told_and_keeps_what_there_is(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 4:
            raise OSError(28, "No space left on device")
        return real_write(file, data)

    with capture_logs() as logs:
        async with sink_to(out) as sink:
            monkeypatch.setattr(os, "write", full)
            sink.write([b"one\n"])
            await sink.everything()
            sink.write([b"too long\n"])
            error = await sink.failure
    assert str(error) == f"the output file {out} cannot be written: No space left on device"
    assert "start again" in error.hint
    assert contents(tmp_path) == {"out": b"one\n"}
    (line,) = logs
    assert line["event"] == "sink.failed"
    assert line["reason"] == "No space left on device"
    assert sink.queued_bytes == len(b"too long\n")


async def test_a_cut_that_the_disk_refuses_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    async with sink_to(tmp_path / "out", "w1-3") as sink:
        sink.write([b"one\n"])
        cut = sink.end_file(FIRST)
        later = sink.end_file(SECOND)
        await sink.failure
        assert cut.cancelled()
        assert later.cancelled()
