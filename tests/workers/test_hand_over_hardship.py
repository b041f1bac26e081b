"""The Unix socket that hands over connections of senders, when peers fail and files are few."""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.cluster.harness import framed
from tests.workers.test_hand_over import (
    OFFER,
    Worker,
    connect,
    connections,
    on_uvloop,
    until,
)
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.read_budget import PENDING_BYTES_MAX
from wallaroo.wire.connection_handover import BATCH_COUNT_MAX
from wallaroo.wire.handshake import MAGIC, NONCE_BYTES, PROOF_BYTES
from wallaroo_workers.network.unix_paths import socket_path
from wallaroo_workers.sources import fd_handover
from wallaroo_workers.sources.fd_handover import UNAUTHENTICATED_MAX

AT_ONCE_S = 2.0
"""Much less than unauthenticated peers may take for their proof."""
READ_BYTES_MAX = 256 << 10
FRAME_BYTES = 1000


def unauthenticated(worker: Worker, *said: bytes, files: int = 0) -> socket.socket:
    """Connect where ``worker`` takes connections, and say something beside descriptors."""
    line = socket.socket(socket.AF_UNIX)
    with socket_path(worker.hand_over.path) as path:
        line.connect(path)
    with contextlib.suppress(OSError), open(os.devnull, "rb") as null:
        for data in said:
            socket.send_fds(line, [data], [null.fileno()] * files)
    return line


def open_files() -> list[str]:
    """What the files stand for that this process has open."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(link.readlink()))
    return sorted(name for name in names if not name.startswith("/proc/"))


@contextlib.contextmanager
def files_left(count: int) -> Iterator[None]:
    """Have this process open no more than so many files; it gets the lowest free numbers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(link.name) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    free = [number for number in range(max(taken) + count + 2) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Unauthenticated peers


@on_uvloop
async def test_silent_unauthenticated_peers_keep_no_thread_and_no_worker_waiting(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    with ExitStack() as stack, connect(giver):
        for number in range(2 * UNAUTHENTICATED_MAX):
            stack.enter_context(unauthenticated(taker, MAGIC[: number % len(MAGIC)] or b"W"))
        await until(lambda: giver.listener.connection_count == 1)
        async with asyncio.timeout(AT_ONCE_S):
            # Files and checkpoints are written by these threads.
            await asyncio.gather(*(asyncio.to_thread(time.monotonic) for _ in range(64)))
            assert await giver.give(taker)
    assert [offer for offer, _ in taker.offers] == [OFFER]


@on_uvloop
async def test_unauthenticated_peers_cannot_open_files_or_fill_the_log(
    workers: list[Worker], _: Path
) -> None:
    taker = workers[1]
    opening = MAGIC + os.urandom(NONCE_BYTES)
    said = [b"x", MAGIC[:3], opening, opening + bytes(PROOF_BYTES), b"\x16\x03\x01", b"\xff" * 200]
    before = open_files()
    with capture_logs() as lines, ExitStack() as stack:
        for number in range(300):
            line = unauthenticated(taker, said[number % len(said)], b"more", files=number % 254)
            stack.enter_context(line)
            await asyncio.sleep(0)
        stack.close()
        await until(lambda: open_files() == before)
    assert {line["event"] for line in lines} <= {"handover.rejected", "handover.rejected_more"}
    assert len(lines) < 60
    assert taker.offers == []


@on_uvloop
async def test_unauthenticated_peers_leave_nothing_for_the_garbage_collector(
    workers: list[Worker], _: Path
) -> None:
    # A worker collects seldom, so that what they leave would pile up.
    taker, count = workers[1], 200
    with capture_logs(), ExitStack() as stack:
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        before = open_files()
        for _number in range(count):
            unauthenticated(taker, MAGIC + bytes(NONCE_BYTES + PROOF_BYTES)).close()
            await asyncio.sleep(0)
        await until(lambda: open_files() == before)
        assert gc.collect() < count


@on_uvloop
async def test_senders_leave_nothing_for_the_garbage_collector(
    workers: list[Worker], _: Path
) -> None:
    worker, count = workers[0], 200
    with ExitStack() as stack:
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        for number in range(count):
            with connect(worker) as sender:
                sender.sendall(framed(b"one")[: 7 - number % 2])
            await asyncio.sleep(0)
        await until(lambda: len(worker.taken) == count // 2)
        await until(lambda: worker.listener.connection_count == 0)
        assert gc.collect() < count


@on_uvloop
async def test_a_worker_that_ends_waits_for_no_transfer(workers: list[Worker], path: Path) -> None:
    giver, taker = workers[:2]
    with socket.socket(socket.AF_UNIX) as deaf, unauthenticated(taker, b"W"), connect(giver):
        with socket_path(str(path / "deaf")) as short:
            deaf.bind(short)
        deaf.listen()
        await until(lambda: giver.listener.connection_count == 1)
        shares = {str(path / "deaf"): giver.senders.copies()}
        giving = asyncio.create_task(giver.hand_over.give(OFFER, shares))
        line, _ = await asyncio.to_thread(deaf.accept)
        with line:
            giver.hand_over.close()
            async with asyncio.timeout(AT_ONCE_S):
                assert await giving == set()


# Few files


@on_uvloop
async def test_a_taker_without_a_file_for_its_giver_lets_it_wait(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    with pytest.MonkeyPatch.context() as patch, connect(giver), capture_logs() as lines:
        patch.setattr(fd_handover, "ACCEPT_AGAIN_S", 0.1)
        await until(lambda: giver.listener.connection_count == 1)
        line = unauthenticated(taker, b"x")
        with line, files_left(0):
            await until(lambda: "handover.rejected" in {line["event"] for line in lines})
        assert await giver.give(taker)
    assert broken == []


@on_uvloop
async def test_a_taker_with_few_files_left_refuses(workers: list[Worker], _: Path) -> None:
    giver, taker = workers[:2]
    with connections(giver, 40), capture_logs() as lines:
        await until(lambda: giver.listener.connection_count == 40)
        await giver.senders.pause_reading(asyncio.sleep)
        before = open_files()
        share = giver.senders.copies()
        # Room for all, and hardly more.
        with files_left(50):
            assert await giver.hand_over.give(OFFER, {taker.hand_over.path: share}) == set()
        assert open_files() == before
    (refused,) = [line for line in lines if line["event"] == "source_connections.takeover_failed"]
    assert "40 connections are too many for a worker that has" in refused["reason"]
    assert taker.offers == []


@on_uvloop
async def test_what_the_system_does_not_let_through_is_given_back_whole(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    count = BATCH_COUNT_MAX + 20
    with connections(giver, count) as senders, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fd_handover, "FILES_PART", 1e6)
        await until(lambda: giver.listener.connection_count == count)
        await giver.senders.pause_reading(asyncio.sleep)
        before = open_files()
        share = giver.senders.copies()
        with files_left(BATCH_COUNT_MAX + 5), capture_logs() as lines:
            assert await giver.hand_over.give(OFFER, {taker.hand_over.path: share}) == set()
        assert open_files() == before
        assert any("connections were sent" in line.get("reason", "") for line in lines)
        giver.senders.resume_reading()
        for sender in senders:
            sender.sendall(framed(b"one"))
        await until(lambda: len(giver.taken) == count)


@on_uvloop
async def test_a_giver_without_files_for_copies_keeps_all(workers: list[Worker], _: Path) -> None:
    giver = workers[0]
    with connections(giver, 20):
        await until(lambda: giver.listener.connection_count == 20)
        before = open_files()
        with files_left(5), pytest.raises(OSError, match="Too many open files"):
            giver.senders.copies()
        assert open_files() == before


# Connections of every kind


@on_uvloop
async def test_a_connection_that_is_reset_meanwhile_is_given_up_by_the_taker(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    before = open_files()
    with connections(giver, 3) as senders:
        await until(lambda: giver.listener.connection_count == 3)
        await giver.senders.pause_reading(asyncio.sleep)
        for sender in senders:
            sender.sendall(framed(b"one"))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        senders[0].close()
        assert await giver.give(taker)
        senders[1].close()
        giver.senders.detach()
        taker.read_on()
        senders[2].close()
        await until(lambda: taker.listener.connection_count == giver.listener.connection_count == 0)
    giver.listener.close()
    await until(lambda: len(open_files()) <= len(before))


@on_uvloop
async def test_a_frame_can_be_cut_anywhere(workers: list[Worker], _: Path) -> None:
    giver, taker = workers[:2]
    frames = framed(b"payload 1", b"", b"payload 3")
    cuts = range(len(frames) + 1)
    with connections(giver, len(cuts)) as senders:
        await until(lambda: giver.listener.connection_count == len(cuts))
        for cut, sender in zip(cuts, senders, strict=True):
            sender.sendall(frames[:cut])
        whole = sum((cut >= 13) + (cut >= 17) + (cut >= 30) for cut in cuts)
        await until(lambda: len(giver.taken) == whole)
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        for cut, sender in zip(cuts, senders, strict=True):
            sender.sendall(frames[cut:])
        await until(lambda: len(giver.taken) + len(taker.taken) == 3 * len(cuts))
    taken = sorted(giver.taken + taker.taken)
    assert taken == sorted([b"payload 1", b"", b"payload 3"] * len(cuts))


@on_uvloop
async def test_many_that_have_much_to_say_are_not_all_read_at_once(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    # A sink is slow, say.
    taker.events.must_pause = True
    block = framed(*[bytes(FRAME_BYTES)] * 600)
    count = 100
    with connections(giver, count) as senders:
        await until(lambda: giver.listener.connection_count == count)
        await giver.senders.pause_reading(asyncio.sleep)
        sent = 0
        for sender in senders:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sent += sender.send(block)
        assert sent > 8 * PENDING_BYTES_MAX
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        await until(lambda: taker.listener.connection_count == count)
        await until(lambda: taker.intake.is_full)
        for _turn in range(100):
            await asyncio.sleep(0)
        assert taker.listener.received_bytes < PENDING_BYTES_MAX + 16 * READ_BYTES_MAX


@on_uvloop
async def test_a_share_that_came_by_another_attempt_is_not_read(
    workers: list[Worker], _: Path
) -> None:
    giver, *takers = workers
    with connections(giver, 2) as senders:
        await until(lambda: giver.listener.connection_count == 2)
        await giver.senders.pause_reading(asyncio.sleep)
        gone = "/nowhere/hand-over"
        first, second = giver.senders.copies()
        path = takers[0].hand_over.path
        assert await giver.hand_over.give(OFFER, {path: [first], gone: [second]}) == {path}
        assert first.stream.fileno() == second.stream.fileno() == -1, "what is given is closed"
        shares: dict[str, list[ConnectionCopy]] = {takers[1].hand_over.path: giver.senders.copies()}
        assert await giver.hand_over.give(OFFER, shares) == {*shares}
        giver.senders.detach()
        takers[1].read_on()
        for sender in senders:
            sender.sendall(framed(b"one"))
        await until(lambda: takers[1].taken == [b"one", b"one"])
