"""What a process has beside its worker: the external channel, and lines on standard output."""

import asyncio
from collections.abc import Callable

from wallaroo.errors import ClusterError, WallarooError
from wallaroo.topology.plan import Application
from wallaroo_cli.original.lines import Lines, Situation, say
from wallaroo_workers.external.answers import ExternalAnswers
from wallaroo_workers.external.server import ExternalServer
from wallaroo_workers.external.view import Ask, RequestView
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.security import is_loopback

log = get_logger()

INITIALIZER = "initializer"
LOOK_S = 0.1


class Companion:
    """Follows the cluster by ``ask``."""

    def __init__(
        self,
        name: str,
        plan: Application,
        lines: Lines,
        ask: Ask,
        stop: Callable[[], None],
        on_situation: Callable[[Situation], None] = lambda _: None,
    ) -> None:
        """``on_situation`` gets what each look at the cluster has found."""
        self._name = name
        self._lines = lines
        self._ask = ask
        self._view = RequestView(name, plan, ask, stop)
        answers = ExternalAnswers(name, INITIALIZER, plan, self._view, say)
        self._server = ExternalServer(answers.answer)
        self._on_situation = on_situation

    async def listen(self, address: str) -> None:
        """Take clients at the address of ``--external``; nobody can where it is empty.

        Raises ``ClusterError`` where it cannot be listened at.
        """
        if not address:
            return
        host, port = split_address(address)
        if not is_loopback(host):
            log.warning(
                "external.exposed",
                address=address,
                hint="the external channel has no secret: any client that reaches it can stop the "
                "cluster; give --external an address of 127.0.0.1",
            )
        try:
            await self._server.listen(host, port)
        except OSError as error:
            raise ClusterError(
                f"the external channel cannot listen at {address}: {error.strerror}",
                hint="choose another address with --external",
            ) from error
        say(f"{self._name} external: listening on {address}")

    async def follow(self) -> None:
        """Look at the cluster until cancelled, and say what there is to say."""
        while True:
            try:
                await self._look()
            except WallarooError:
                pass  # it is starting, or the initializer is away: there is nothing to say
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        status = await self._ask("status", {"brief": True})
        workers = tuple(worker["name"] for worker in status["workers"])
        now = Situation(status["phase"], status["epoch"], workers)
        key_count = 0
        if self._lines.needs_key_count(now):
            counts = await self._view.key_counts()
            key_count = sum(by_worker.get(self._name, 0) for by_worker in counts.values())
        for line in self._lines.came(now, key_count):
            say(line)
        self._on_situation(now)

    async def close(self) -> None:
        """Take no more clients."""
        await self._server.close()
