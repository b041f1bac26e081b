"""Links between two workers over real sockets: what is told of one that breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from wallaroo.cluster.incoming_links import IncomingLinks
from wallaroo.cluster.pressure import Pressure
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.data_frames import LinkHello
from wallaroo_workers.network import outgoing
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
        self.link = DialedLink(LinkHello(W1, Epoch(1), W2, Epoch(1)), address, Pressure(), SECRET)
        self.link.on_progress = self._changed.set

    async def stands(self, connection_count: int) -> None:
        """Wait until so many connections have stood, and the last one does."""
        async with asyncio.timeout(WAIT_S):
            while self.link.connection_count < connection_count:
                self._changed.clear()
                await self._changed.wait()
            await self.link.connected.wait()

    def hang_up(self) -> None:
        """The connection breaks at w2's end."""
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
def told(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when it was decided whether anything is told; that is soon."""
    decided = asyncio.Event()
    tell = DialedLink._tell_lost

    def tell_and_set(self: DialedLink, reason: str, connection_count: int) -> None:
        tell(self, reason, connection_count)
        decided.set()

    monkeypatch.setattr(DialedLink, "_tell_lost", tell_and_set)
    monkeypatch.setattr(outgoing, "TOLD_AFTER_S", 0.2)
    return decided


async def lost_links(told: asyncio.Event, two: Two) -> list[str]:
    """Break the link; return the peers of the links that are told to be lost."""
    with capture_logs() as lines:
        two.hang_up()
        async with asyncio.timeout(WAIT_S):
            await told.wait()
    return [line["peer"] for line in lines if line["event"] == "link.lost"]


async def test_a_link_that_breaks_and_stands_again_is_not_told(told: asyncio.Event) -> None:
    async with linked() as two:
        assert await lost_links(told, two) == []
        await two.stands(2)


async def test_a_link_that_stays_broken_is_told(told: asyncio.Event) -> None:
    async with linked() as two:
        two.listener.close()
        assert await lost_links(told, two) == [W2]


async def test_a_link_whose_other_worker_leaves_is_not_told(told: asyncio.Event) -> None:
    async with linked() as two:
        two.listener.close()
        asyncio.get_running_loop().call_later(0.05, two.link.close)
        assert await lost_links(told, two) == []
