"""Any other worker of the original: an agent for one worker, of the name that was given."""

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from wallaroo.errors import ClusterError, WallarooError
from wallaroo.topology.plan import Application
from wallaroo_cli.original.companion import Companion
from wallaroo_cli.original.files import Card, Files, Traces
from wallaroo_cli.original.initializer import FOR_EVER_S
from wallaroo_cli.original.lines import Lines, say
from wallaroo_cli.original.options import OriginalOptions
from wallaroo_cli.original.relay import Relay
from wallaroo_cli.process_signals import ProcessSignals
from wallaroo_workers.agent import Agent, AgentSettings
from wallaroo_workers.external.remote import RemoteRequests
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.settings import ApplicationSettings

CARD_LOOK_S = 0.1
STOP_ASKED_S = 5.0

T = TypeVar("T")


async def run_worker(
    options: OriginalOptions, application: ApplicationSettings, plan: Application
) -> int:
    """Run one worker until the cluster ends or lets it go; return the exit status."""
    known = options.control or options.join
    files = Files(options.resilience_dir, options.application_module, options.name, known)
    worker = _Worker(options, files)
    async with contextlib.AsyncExitStack() as stack:
        before = files.read_traces()
        is_successor = before is not None and before.control == options.my_control
        await worker.begin(plan, stack, is_successor=is_successor)
        card = await worker.unless_stopped(_card(files))
        if card is None:
            return 0
        files.write_traces(Traces(control=options.my_control))
        if not options.resilience_dir:
            files.copy_card(card, options.my_control)
        # An initializer that is started again, too, is formed only with all that it knew.
        initializer = options.control or (card.control if is_successor else "")
        if not initializer:
            found = await worker.unless_stopped(_initializer(options.join, files))
            if found is None:
                return 0
            initializer = found
        worker.reach(bytes.fromhex(card.secret), initializer, stack)
        settings = _settings(options, application, card, initializer)
        agent = worker.agent = Agent(settings, plan, ProcessSignals(), worker.stop_cluster)
        try:
            status = await agent.run()
        except ClusterError:
            # It was refused, or let go: nobody succeeds it.
            files.remove(None, [options.my_control])
            raise
    if status == 0:
        files.remove(None, [options.my_control])
    return status


class _Worker:
    """One worker's agent and what is beside it."""

    def __init__(self, options: OriginalOptions, files: Files) -> None:
        self._options = options
        self._files = files
        self._initializer = ""
        self._remote: RemoteRequests | None = None
        self._stopped = asyncio.Event()
        self.agent: Agent | None = None

    async def begin(
        self, plan: Application, stack: contextlib.AsyncExitStack, *, is_successor: bool
    ) -> None:
        """Take clients of the external channel: they may ask before there is a cluster."""
        options = self._options
        lines = Lines(
            options.name,
            is_successor=is_successor,
            is_durable=options.is_durable,
            is_joining=bool(options.join),
        )
        companion = Companion(options.name, plan, lines, self._ask, self._stop)
        await companion.listen(options.external)
        stack.push_async_callback(companion.close)
        following = asyncio.create_task(companion.follow())
        stack.callback(following.cancel)
        relay = Relay(lambda: split_address(self._initializer))
        try:
            await relay.listen(*split_address(options.my_control))
        except OSError as error:
            raise ClusterError(
                f"the control channel cannot listen at {options.my_control}: {error.strerror}",
                hint="choose another address with --my-control",
            ) from error
        stack.push_async_callback(relay.close)
        if is_successor:
            for address in (options.my_control, options.my_data):
                say(f"Restarting a listener at {address}")

    def reach(self, secret: bytes, initializer: str, stack: contextlib.AsyncExitStack) -> None:
        """The cluster can be asked from now on."""
        self._initializer = initializer
        address = split_address(initializer)
        self._remote = RemoteRequests(secret, lambda: address)
        stack.push_async_callback(self._remote.close)

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._remote is None:
            raise ClusterError("there is no cluster yet")
        return await self._remote.ask(method, params)

    def _stop(self) -> None:
        self._stopped.set()
        if self.agent is not None:
            self.agent.stop_cluster()

    async def unless_stopped(self, waiting: Coroutine[Any, Any, T]) -> T | None:
        """Return what is waited for; ``None`` if this worker is told to stop before."""
        found = asyncio.create_task(waiting)
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait([found, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if found.done():
            return found.result()
        found.cancel()
        return None

    async def stop_cluster(self) -> None:
        """Stop the cluster that this worker waits to join, if it can be reached."""
        with contextlib.suppress(WallarooError, TimeoutError):
            async with asyncio.timeout(STOP_ASKED_S):
                await self._ask("stop", {})


async def _card(files: Files) -> Card:
    """Wait until an initializer says where it is."""
    while True:
        if (card := files.read_card()) is not None:
            return card
        await asyncio.sleep(CARD_LOOK_S)


async def _initializer(join: str, files: Files) -> str:
    """Ask the process that listens at ``join`` for the initializer, until there is a cluster.

    If nothing listens there any more, the card has the address.
    """
    while True:
        card = await _card(files)
        for address in (join, card.control):
            remote = RemoteRequests(bytes.fromhex(card.secret), partial(split_address, address))
            try:
                return str((await remote.ask("status", {"brief": True}))["control"])
            except WallarooError:
                pass  # there is no cluster yet
            finally:
                await remote.close()
        await asyncio.sleep(CARD_LOOK_S)


def _settings(
    options: OriginalOptions, application: ApplicationSettings, card: Card, initializer: str
) -> AgentSettings:
    return AgentSettings(
        initializer=initializer,
        name=options.name,
        secret=bytes.fromhex(card.secret),
        tls=None,
        application=application,
        rejoin_s=FOR_EVER_S,
        takes_sources=False,
        stands_for_worker=True,
        together=options.worker_count if options.join else 1,
    )
