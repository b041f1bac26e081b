"""Connections of senders go from one worker's source to another's, over a real Unix socket."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

import wallaroo
from tests.cluster.harness import framed, free_ports
from tests.wallaroo.runtime.engine_events import EventsIgnored
from wallaroo.ingest.connection_handover import ConnectionCopy, Offer, distribute, drop
from wallaroo.ingest.listening_sources import ListeningSources
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import PlacedSource
from wallaroo.ingest.split_ports import SplitSource
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.runtime.engine import Engine
from wallaroo.wire.connection_handover import BATCH_COUNT_MAX
from wallaroo_workers.network.unix_paths import socket_path
from wallaroo_workers.sources import fd_transfer
from wallaroo_workers.sources.fd_handover import UnixHandOver
from wallaroo_workers.sources.frame_limits import intake_limits
from wallaroo_workers.sources.tcp import TCPSourceListener

SECRET = b"of these tests"
FRAME_BYTES_MAX = 1 << 20
GIVER = WorkerName("w1")
RESIZE = 7
PIPELINES = frozenset([0, 1])
OFFER = Offer(RESIZE, GIVER, 1)
WAIT_S = 20.0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> bytes:
    return payload


@wallaroo.decoder(header_length=2, length_fmt="<H")
def decode_short(payload: bytes) -> bytes:
    return b"short " + payload


@wallaroo.encoder
def encode(payload: bytes) -> bytes:
    return payload


class Worker:
    """The sources of one worker, for long frames and for short ones, and what it has taken."""

    def __init__(self, name: WorkerName, folder: Path, secret: bytes = SECRET) -> None:
        taken: list[bytes] = []
        self.taken = taken

        @wallaroo.computation("take")
        def take(payload: bytes) -> None:
            taken.append(payload)

        builder = wallaroo.ApplicationBuilder("takes")
        configs = [
            wallaroo.TCPSourceConfig("127.0.0.1", 0, each) for each in (decode, decode_short)
        ]
        for pipeline, config in zip(("long", "short"), configs, strict=True):
            builder.new_pipeline(pipeline, config)
            builder.to(take)
            builder.to_sink(wallaroo.FileSinkConfig(pipeline, encode))
        plan = builder.build()
        loop = asyncio.get_running_loop()
        self.events = EventsIgnored()
        self.engine = Engine(time.perf_counter, loop, self.events)
        dataflow = Dataflow(plan, name, DataflowOptions())
        dataflow.bind((name,), {})
        self.engine.restart(dataflow)
        self.intake = ReadBudget()
        limits = intake_limits(FRAME_BYTES_MAX, 1)
        self.listeners = {
            index: TCPSourceListener(config.source(), index, self.engine, self.intake, limits)
            for index, config in enumerate(configs)
        }
        self.listener, self.short_listener = self.listeners.values()
        self.plan = plan
        self.replayed = asyncio.Event()
        self.senders = ListeningSources(self)
        folder.mkdir()
        self.hand_over = UnixHandOver(str(folder), secret, FRAME_BYTES_MAX, PIPELINES, self)
        self.offers: list[tuple[Offer, list[ConnectionCopy]]] = []
        self.hand_over.listen()

    def new_placed(self, *_: object) -> PlacedSource:
        pytest.fail("there is none")

    def new_split_source(self, *_: object) -> SplitSource:
        pytest.fail("there is none")

    async def all_of(self, works: Any) -> None:
        await asyncio.gather(*works)

    def report(self, event: str, values: dict[str, Any]) -> None: ...

    def connections_offered(self, offer: Offer, copies: list[ConnectionCopy]) -> bool:
        self.offers.append((offer, copies))
        return offer.resize == RESIZE

    async def give(self, *takers: "Worker", resize: int = RESIZE) -> bool:
        await self.senders.pause_reading(asyncio.sleep)
        shares = distribute(
            GIVER, self.senders.copies(), [taker.hand_over.path for taker in takers]
        )
        return await self.hand_over.give(Offer(resize, GIVER, 1), shares) == {*shares}

    def read_on(self) -> None:
        """The change is done."""
        for _, copies in self.offers:
            self.senders.take_over(copies)
        self.senders.read_on()


def on_uvloop(
    test: Callable[[list[Worker], Path], Coroutine[Any, Any, None]],
) -> Callable[[Path], None]:
    """Run a test with one worker that has senders and leaves, and two that stay.

    Workers run on uvloop, and its transports own their sockets in their own way.
    """

    def run(tmp_path: Path) -> None:
        uvloop.run(_with_workers(test, tmp_path))

    run.__name__ = run.__qualname__ = test.__name__
    return run


async def _with_workers(
    test: Callable[[list[Worker], Path], Coroutine[Any, Any, None]], folder: Path
) -> None:
    made = [Worker(WorkerName(f"w{n}"), folder / f"w{n}") for n in (1, 2, 3)]
    # All connections go to the first: the others do not listen.
    await made[0].senders.listen([f"127.0.0.1:{port}" for port in free_ports(len(PIPELINES))])
    try:
        await test(made, folder)
    finally:
        for worker in made:
            worker.senders.detach()
            worker.listener.close()
            worker.short_listener.close()
            worker.hand_over.close()
            for _, copies in worker.offers:
                drop(copies)
        await asyncio.sleep(0)


def connect(worker: Worker, *, is_short: bool = False) -> socket.socket:
    listener = worker.short_listener if is_short else worker.listener
    host, _, port = listener.address.rpartition(":")
    return socket.create_connection((host, int(port)), WAIT_S)


@contextmanager
def connections(worker: Worker, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connect(worker)) for _ in range(count)]


async def until(is_true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.002)


@on_uvloop
async def test_a_sender_at_full_speed_goes_on_at_another_worker(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    numbers = [f"{number:06}".encode() * 50 for number in range(40_000)]
    with connect(giver) as connection:
        sending = threading.Thread(target=connection.sendall, args=(framed(*numbers),))
        sending.start()
        await until(lambda: len(giver.taken) > 1000)
        assert await giver.give(taker)
        taken_count = len(giver.taken)
        giver.senders.detach()
        taker.read_on()
        await until(lambda: len(giver.taken) + len(taker.taken) == len(numbers))
        sending.join()
    assert len(giver.taken) == taken_count < len(numbers)
    assert giver.taken + taker.taken == numbers
    assert [offer for offer, _ in taker.offers] == [OFFER]
    await until(lambda: taker.listener.connection_count == 0)


@on_uvloop
async def test_a_frame_cut_in_two_is_whole_where_its_end_is_read(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    with connect(giver) as connection:
        data = framed(b"one", b"two")
        connection.sendall(data[:9])
        await until(lambda: giver.taken == [b"one"])
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        connection.sendall(data[9:])
        await until(lambda: taker.taken == [b"two"])


@on_uvloop
async def test_connections_of_several_sources_go_on_at_their_own(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    with connect(giver) as long, connect(giver, is_short=True) as short:
        long.sendall(framed(b"one", b"two")[:9])
        short.sendall(b"\x03\x00one\x03")
        await until(lambda: sorted(giver.taken) == [b"one", b"short one"])
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        long.sendall(framed(b"one", b"two")[9:])
        short.sendall(b"\x00two")
        await until(lambda: sorted(taker.taken) == [b"short two", b"two"])
    await until(lambda: taker.listener.connection_count == 0)


@on_uvloop
async def test_what_a_sender_that_has_ended_sent_is_read_to_its_end(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    with connections(giver, 2) as (closed, half_closed):
        for connection in (closed, half_closed):
            connection.sendall(framed(b"first"))
        await until(lambda: len(giver.taken) == 2)
        await giver.senders.pause_reading(asyncio.sleep)
        for connection in (closed, half_closed):
            connection.sendall(framed(b"last"))
        closed.close()
        half_closed.shutdown(socket.SHUT_WR)
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        await until(lambda: taker.taken == [b"last", b"last"])
        assert half_closed.recv(1) == b""


@on_uvloop
async def test_one_that_waits_to_be_accepted_is_handed_over(workers: list[Worker], _: Path) -> None:
    giver, taker = workers[:2]
    # The loop does not run in between, so nobody accepts it.
    with connect(giver) as connection:
        connection.sendall(framed(b"one"))
        assert await giver.give(taker)
        giver.senders.detach()
        taker.read_on()
        connection.sendall(framed(b"two"))
        await until(lambda: giver.taken + taker.taken == [b"one", b"two"])
        assert taker.taken


@on_uvloop
async def test_many_are_shared_evenly_and_sent_in_batches(workers: list[Worker], _: Path) -> None:
    giver, *takers = workers
    count = 2 * BATCH_COUNT_MAX + 20
    with connections(giver, count) as senders:
        await until(lambda: giver.listener.connection_count == count)
        assert await giver.give(*takers)
        giver.senders.detach()
        for taker in takers:
            taker.read_on()
        for number, sender in enumerate(senders):
            sender.sendall(framed(str(number).encode()))
        await until(lambda: sum(len(taker.taken) for taker in takers) == count)
    assert [len(taker.taken) for taker in takers] == [count // 2, count // 2]
    await until(lambda: not any(taker.listener.connection_count for taker in takers))


@on_uvloop
async def test_called_off_the_giver_reads_on_as_if_nothing_had_been(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    with connect(giver) as connection:
        data = framed(b"one", b"two", b"three")
        connection.sendall(data[:9])
        await until(lambda: giver.taken == [b"one"])
        assert not await giver.give(taker, resize=RESIZE + 1)
        connection.sendall(data[9:])
        assert giver.taken == [b"one"]
        giver.senders.resume_reading()
        await giver.senders.listen([giver.listener.address, giver.short_listener.address])
        await until(lambda: giver.taken == [b"one", b"two", b"three"])
        connection.shutdown(socket.SHUT_WR)
        assert await asyncio.to_thread(connection.recv, 1) == b""


@on_uvloop
async def test_one_that_waits_at_a_taker_can_be_given_again(workers: list[Worker], _: Path) -> None:
    giver, taker, last = workers
    with connect(giver) as connection:
        connection.sendall(framed(b"one")[:5])
        await until(lambda: giver.listener.connection_count == 1)
        assert await giver.give(taker)
        giver.senders.detach()
        taker.senders.take_over(taker.offers[0][1])
        assert await taker.give(last)
        taker.senders.detach()
        last.read_on()
        connection.sendall(framed(b"one")[5:])
        await until(lambda: last.taken == [b"one"])


@on_uvloop
async def test_a_temporary_folder_with_a_long_name_keeps_nobody_from_taking(
    workers: list[Worker], tmp_path: Path
) -> None:
    giver = workers[0]
    long = tmp_path / ("x" * 150)
    long.mkdir()
    taker = Worker(WorkerName("w9"), long / "w9")
    with connect(giver):
        await until(lambda: giver.listener.connection_count == 1)
        assert giver.hand_over.is_here(taker.hand_over.path)
        assert await giver.give(taker)
    for _, copies in taker.offers:
        drop(copies)
    taker.hand_over.close()
    assert not (long / "w9").exists()


@on_uvloop
async def test_who_does_not_know_the_secret_hands_over_nothing(
    workers: list[Worker], tmp_path: Path
) -> None:
    taker = workers[1]
    other = Worker(WorkerName("w9"), tmp_path / "w9", b"another secret")
    await other.senders.listen(["127.0.0.1:0", "127.0.0.1:0"])
    pair = socket.socketpair()
    with pair[0], pair[1]:
        share = {taker.hand_over.path: [ConnectionCopy(0, b"", pair[0].dup())]}
        assert not await other.hand_over.give(OFFER, share)
    assert taker.offers == []
    other.listener.close()
    other.short_listener.close()
    other.hand_over.close()


@on_uvloop
async def test_a_taker_that_does_not_answer_is_not_waited_for_forever(
    workers: list[Worker], tmp_path: Path
) -> None:
    giver, *_ = workers
    path = str(tmp_path / "deaf")
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.socket(socket.AF_UNIX) as deaf,
        socket_path(path) as short,
        connect(giver),
    ):
        patch.setattr(fd_transfer, "TIME_MAX_S", 0.1)
        deaf.bind(short)
        deaf.listen()
        await until(lambda: giver.listener.connection_count == 1)
        assert giver.hand_over.is_here(path)
        assert not await giver.hand_over.give(OFFER, {path: giver.senders.copies()})
    assert not giver.hand_over.is_here(str(tmp_path / "nobody"))


@on_uvloop
async def test_what_is_longer_than_it_may_be_ends_the_transfer(
    workers: list[Worker], _: Path
) -> None:
    giver, taker = workers[:2]
    pair = socket.socketpair()
    with pair[0], pair[1]:
        begin = bytes(FRAME_BYTES_MAX + (2 << 20))
        share = {taker.hand_over.path: [ConnectionCopy(0, begin, pair[0].dup())]}
        assert not await giver.hand_over.give(OFFER, share)
        share = {taker.hand_over.path: [ConnectionCopy(2, b"", pair[0].dup())]}
        assert not await giver.hand_over.give(OFFER, share), "there is no such pipeline"
    assert taker.offers == []


@on_uvloop
async def test_nothing_is_left_of_the_socket(workers: list[Worker], tmp_path: Path) -> None:
    taker = workers[1]
    assert taker.hand_over.is_here(str(tmp_path / "w2" / "hand-over"))
    taker.hand_over.close()
    assert not taker.hand_over.is_here(str(tmp_path / "w2"))
    (tmp_path / "w2").mkdir()
