"""Clients of an initializer over real sockets: answers, nonsense, and who may ask at all."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import ControlFrame, Join, Pulse, encode_control_frame
from wallaroo.wire.requests import NO_EPOCH, Answer, Progress, Request, to_json
from wallaroo_cli.tools import control_client
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.control_client import answer_of
from wallaroo_cli.tools.running_clusters import NoClusterError, Target
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.initializer.control import clients
from wallaroo_workers.initializer.control.clients import Clients, RequestHandler
from wallaroo_workers.initializer.control.server import ControlServer
from wallaroo_workers.network.frames import FrameConnection, split_address

SECRET = b"a secret of a test"
WAIT_S = 10.0


class Echo:
    """Stands where the requests of a run stand; answers with what it got."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.may_answer_pings = asyncio.Event()
        self.may_answer_pings.set()
        self.pings: asyncio.Queue[None] = asyncio.Queue()
        self.error: Exception | None = None
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def handle(
        self, method: str, params: dict[str, Any], progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        if method == "ping":
            self.pings.put_nowait(None)
            await self.may_answer_pings.wait()
            return {}
        progress({"event": "begun"})
        self.asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        return {"method": method, "params": params}


class KnownClients(Clients):
    """Clients of the server; ``all_closed`` is set while there is none."""

    def __init__(self, requests: RequestHandler) -> None:
        super().__init__(requests)
        self.all_closed = asyncio.Event()
        self.all_closed.set()

    def take(self, connection: FrameConnection, frame: ControlFrame) -> bool:
        is_taken = super().take(connection, frame)
        if is_taken:
            self.all_closed.clear()
        return is_taken

    def disconnected(self, connection: FrameConnection, reason: str) -> bool:
        was_client = super().disconnected(connection, reason)
        if not self._tasks:
            self.all_closed.set()
        return was_client


class NoWorkers:
    """Ignores what workers send."""

    def received(self, worker: WorkerName, frame: ControlFrame) -> None:
        pass

    def link_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        pass

    def heartbeat(self, worker: WorkerName, incarnation: Epoch) -> None:
        pass


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[ControlServer, Echo]]:
    echo = Echo()
    known = KnownClients(echo)
    server = ControlServer(SECRET, NoWorkers(), known, {})
    await server.listen("127.0.0.1", 0)
    try:
        yield server, echo
        # The clients have closed; the server closes too, as soon as it reads the end.
        await asyncio.wait_for(known.all_closed.wait(), WAIT_S)
    finally:
        server.close()


def target(server: ControlServer, secret: bytes = SECRET) -> Target:
    return Target(parse_address(server.address, "here"), secret)


class Link:
    """One connection to the server, and what it received."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[ControlFrame] = asyncio.Queue()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.link = ControlLink(SECRET)

    @classmethod
    async def to(cls, server: ControlServer) -> "Link":
        self = cls()
        host, port = split_address(server.address)
        await self.link.dial(host, port, self.frames.put_nowait, self.lost.set_result)
        return self

    async def next(self) -> ControlFrame:
        return await asyncio.wait_for(self.frames.get(), WAIT_S)

    async def is_lost(self) -> None:
        await asyncio.wait_for(self.lost, WAIT_S)


def request(number: int = 1, params: str = "{}") -> Request:
    return Request(NO_EPOCH, number, "status", params)


async def ask(server: ControlServer, secret: bytes = SECRET, **params: Any) -> dict[str, Any]:
    to = target(server, secret)
    asking = answer_of(to, "status", params, lambda _: None, until_ended=False)
    return await asyncio.wait_for(asking, WAIT_S)


async def test_an_answer_may_take_long_as_long_as_the_initializer_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_client, "PING_EVERY_S", 0.01)
    async with serving() as (server, echo):
        echo.may_answer.clear()
        asking = asyncio.create_task(ask(server, a=1))
        async with asyncio.timeout(WAIT_S):
            for _ in range(3 * control_client.UNANSWERED_PINGS_MAX):
                await echo.pings.get()
        echo.may_answer.set()
        assert (await asking)["params"] == {"a": 1}


async def test_an_initializer_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_client, "PING_EVERY_S", 0.01)
    async with serving() as (server, echo):
        echo.may_answer_pings.clear()
        echo.may_answer.clear()
        with pytest.raises(ClusterError, match=r"has not answered for") as raised:
            await ask(server)
    assert "whether its initializer was suspended" in raised.value.hint


async def test_a_command_that_is_interrupted_while_it_waits_says_nothing_of_it() -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with serving() as (server, echo):
        echo.may_answer.clear()
        asking = asyncio.create_task(ask(server))
        async with asyncio.timeout(WAIT_S):
            await echo.asked.wait()
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    del asking
    gc.collect()
    assert unhandled == []


async def test_a_request_gets_its_progress_and_its_answer() -> None:
    async with serving() as (server, _):
        link = await Link.to(server)
        link.link.send(request(7, '{"a":1}'))
        assert await link.next() == Progress(NO_EPOCH, 7, '{"event":"begun"}')
        result = to_json({"method": "status", "params": {"a": 1}})
        assert await link.next() == Answer(NO_EPOCH, 7, "done", result, "", "")
        await link.link.close()


async def test_two_clients_and_two_requests_of_one_do_not_wait_for_each_other() -> None:
    async with serving() as (server, echo):
        first, second = await Link.to(server), await Link.to(server)
        echo.may_answer.clear()
        for number in (1, 2):
            first.link.send(request(number))
            await first.next()
        echo.may_answer.set()
        second.link.send(request(1))
        assert isinstance(await second.next(), Progress)
        answers = [await first.next(), await first.next()]
        assert sorted(answer.request for answer in answers if isinstance(answer, Answer)) == [1, 2]
        assert isinstance(await second.next(), Answer)
        for link in (first, second):
            await link.link.close()


@pytest.mark.parametrize(
    ("raised", "kind", "what"),
    [
        (ClusterError("too late", "be early"), ClusterError, "too late"),
        (ConfigError("no such thing", "another"), ConfigError, "no such thing"),
        (ZeroDivisionError("oh"), ClusterError, "which is a bug: ZeroDivisionError: oh"),
    ],
)
async def test_an_error_comes_back_with_its_kind(
    raised: Exception, kind: type[WallarooError], what: str
) -> None:
    async with serving() as (server, echo):
        echo.error = raised
        with pytest.raises(kind, match=what) as answered, capture_logs():
            await ask(server)
        if isinstance(raised, WallarooError):
            assert answered.value.hint == raised.hint
        echo.error = None
        assert (await ask(server, a=2))["params"] == {"a": 2}


async def test_another_secret_is_refused_and_no_listener_means_no_cluster() -> None:
    async with serving() as (server, _):
        with pytest.raises(ClusterError, match="has another secret"):
            await ask(server, secret=b"another secret here")
    with pytest.raises(NoClusterError, match="there is no cluster at") as raised:
        await ask(server)
    assert raised.value.exit_code == 3


async def test_another_program_that_listens_there_is_not_a_cluster() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        to = Target(parse_address(f"127.0.0.1:{port}", "here"), SECRET)
        with pytest.raises(NoClusterError, match="does not speak this release's protocol"):
            await answer_of(to, "status", {}, lambda _: None, until_ended=False)


# Nonsense

NONSENSE: list[tuple[str, list[bytes]]] = [
    ("no frame", [b"\x00\x00\x00\x03abc"]),
    ("params no JSON", [encode_control_frame(request(params="{"))]),
    ("params no object", [encode_control_frame(request(params="[1]"))]),
    ("params too long", [encode_control_frame(request(params='"' + "x" * (1 << 20) + '"'))]),
    ("the same number twice", [encode_control_frame(request(1)) * 2]),
    ("too many at once", [encode_control_frame(request(n)) for n in range(17)]),
    ("an answer", [encode_control_frame(Answer(NO_EPOCH, 1, "done", "{}", "", ""))]),
    (
        "a worker behind a request",
        [
            encode_control_frame(request()),
            encode_control_frame(Join(Epoch(1), WorkerName("w1"), 1, "127.0.0.1:1", [])),
        ],
    ),
    (
        "a pulse behind a request",
        [encode_control_frame(request()), encode_control_frame(Pulse(Epoch(1), WorkerName("w1")))],
    ),
]


@pytest.mark.parametrize("sent", [sent for _, sent in NONSENSE], ids=[name for name, _ in NONSENSE])
async def test_nonsense_costs_its_sender_the_connection_and_one_line(sent: list[bytes]) -> None:
    async with serving() as (server, echo):
        bystander = await Link.to(server)
        echo.may_answer.clear()
        with capture_logs() as logs:
            sender = await Link.to(server)
            for data in sent:
                sender.link._connection.write(data)
            await sender.is_lost()
            echo.may_answer.set()
            bystander.link.send(request())
            assert isinstance(await bystander.next(), Progress)
            assert isinstance(await bystander.next(), Answer)
        (line,) = logs
        assert line["event"] in ("client.rejected", "control.rejected")
        assert line["log_level"] == "warning"
        await bystander.link.close()


async def test_a_client_that_closes_leaves_nothing_behind_and_logs_nothing() -> None:
    async with serving() as (server, echo):
        echo.may_answer.clear()
        with capture_logs() as logs:
            link = await Link.to(server)
            link.link.send(request())
            await link.next()
            await link.link.close()
            await asyncio.wait_for(echo.cancelled.wait(), WAIT_S)
        assert logs == []


async def test_an_answer_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "RESULT_LENGTH_MAX", 100)
    async with serving() as (server, _):
        with pytest.raises(ClusterError, match="the answer is too long: 1,0"):
            await ask(server, text="x" * 1000)


async def test_at_the_end_those_who_wait_are_answered_or_let_go() -> None:
    async with serving() as (server, echo):
        echo.may_answer.clear()
        link = await Link.to(server)
        link.link.send(request())
        await link.next()
        finishing = asyncio.create_task(server.clients.finish())
        await asyncio.sleep(0)
        echo.may_answer.set()
        await finishing
        assert isinstance(await link.next(), Answer)
        assert not link.lost.done()
        await link.link.close()


async def test_a_cluster_that_ends_without_an_answer_is_an_error() -> None:
    async with serving() as (server, echo):
        echo.may_answer.clear()
        asking = asyncio.create_task(ask(server))
        await asyncio.wait_for(echo.asked.wait(), WAIT_S)
        for connection in list(server.clients._tasks):
            connection.close()
        with pytest.raises(ClusterError, match="ended before it answered"):
            await asking
