"""Links between two workers over real sockets: what is logged of one that breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from wallaroo.links.back_pressure import Pressure
from wallaroo.links.incoming import IncomingLinks
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.data_frames import LinkHello
from wallaroo_workers.network import outgoing
from wallaroo_workers.network.frames import CLOSED_BY_PEER
from wallaroo_workers.network.incoming import LinkListener
from wallaroo_workers.network.outgoing import DialedLink

SECRET = b"a secret of a test"
WAIT_S = 10.0
W1, W2 = WorkerName("w1"), WorkerName("w2")


class Two:
    """A link from w1 to w2."""

    def __init__(self) -> None:
        self.incoming = IncomingLinks(W2, Epoch(1), lambda _link, _frame: None, lambda: False)
        self.listener = LinkListener(self.incoming, SECRET)
        self.link: DialedLink
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        address = await self.listener.listen("127.0.0.1")
        hello = LinkHello(W1, Epoch(1), W2, Epoch(1))
        self.link = DialedLink(hello, address, Pressure(), self._changed.set, 1, SECRET)

    async def stands(self, connection_count: int) -> None:
        """Wait until so many connections have stood, and the last one does."""
        async with asyncio.timeout(WAIT_S):
            while self.link.connection_count < connection_count:
                self._changed.clear()
                await self._changed.wait()
            await self.link.connected.wait()

    def break_connection(self) -> None:
        """Break the connection at w2's end."""
        (link,) = self.incoming.all
        link.close()


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[Two]:
    two = Two()
    await two.begin()
    dialing = asyncio.create_task(two.link.run())
    try:
        await two.stands(1)
        yield two
    finally:
        two.listener.close()
        dialing.cancel()
        two.link.close()


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[str]:
    """Return the queue of the reasons of lost links that are logged."""
    reasons: asyncio.Queue[str] = asyncio.Queue()

    def warning(event: str, reason: str, **_: object) -> None:
        assert event == "link.lost"
        reasons.put_nowait(reason)

    monkeypatch.setattr(outgoing, "log", SimpleNamespace(warning=warning, debug=print))
    return reasons


async def test_a_link_that_stays_broken_is_reported(
    reported: asyncio.Queue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "TOLD_AFTER_S", 0.01)
    async with linked() as two:
        two.listener.close()
        two.break_connection()
        async with asyncio.timeout(WAIT_S):
            assert await reported.get() == CLOSED_BY_PEER


async def test_a_link_that_stands_again_or_is_wanted_no_more_is_not_reported(
    reported: asyncio.Queue[str],
) -> None:
    async with linked() as two:
        two.break_connection()
        await two.stands(2)
        two.link._tell_lost("as the timer does", connection_count=1)
        two.link.close()
        two.link._tell_lost("as the timer does", connection_count=2)
    assert reported.empty()


async def test_a_link_that_breaks_again_and_again_is_reported(reported: asyncio.Queue[str]) -> None:
    async with linked() as two:
        for count in range(outgoing.BREAKS_MAX):
            assert reported.empty()
            two.break_connection()
            await two.stands(count + 2)
        assert "it broke 5 times" in reported.get_nowait()


@pytest.mark.parametrize("kind", ["nobody listens", "somebody else listens"])
async def test_a_link_that_does_not_come_up_is_told_with_its_address(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    def warning(event: str, **values: object) -> None:
        if event == "link.waiting":
            lines.put_nowait(values)

    monkeypatch.setattr(outgoing, "log", SimpleNamespace(warning=warning, debug=print))
    monkeypatch.setattr(outgoing, "AWAITED_S", 0.05)
    monkeypatch.setattr(outgoing, "AWAITED_LOG_EVERY_S", 0.1)
    incoming = IncomingLinks(W2, Epoch(1), lambda _link, _frame: None, lambda: False)
    listener = LinkListener(incoming, SECRET)
    address = await listener.listen("127.0.0.1")
    receiver = W1 if kind == "somebody else listens" else W2
    if kind == "nobody listens":
        listener.close()
    hello = LinkHello(WorkerName("w3"), Epoch(1), receiver, Epoch(1))
    link = DialedLink(hello, address, Pressure(), lambda: None, 1, SECRET)
    dialing = asyncio.create_task(link.run())
    async with asyncio.timeout(WAIT_S):
        first, second = await lines.get(), await lines.get()
    assert (first["peer"], first["address"]) == (receiver, address)
    assert "--advertise" in str(first["hint"])
    assert first["reason"]
    assert second["address"] == address
    dialing.cancel()
    link.close()
    listener.close()
