"""The agent: a process on another host that runs one worker for a cluster (``--join``).

It offers the host to the initializer, for one worker only or for any that the initializer names. It
starts the worker's process on request, as the initializer does for workers of its own host. The
worker then has its own links to the initializer and to the other workers. An agent that loses the
initializer ends its worker, so that no worker is left alone.
"""

import asyncio
import dataclasses
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wallaroo.coordinator.liveness import Liveness
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application
from wallaroo.wire.agents import (
    Accepted,
    Beat,
    Dismissed,
    EndProcess,
    Offer,
    Prepared,
    ProcessEnded,
    ProcessStarted,
    StartProcess,
    Withdraw,
)
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.control_link import STATUS_INITIALIZER_LOST, ControlLink, NotOneOfUsError
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.network.tls import Tls, TlsFiles
from wallaroo_workers.security import is_wildcard
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings
from wallaroo_workers.stop_signals import StopSignals
from wallaroo_workers.storage.journal_extents import journal_extents
from wallaroo_workers.storage.journal_place import claim_folder

log = get_logger()

FIRST_DIAL_S = 10.0
"""How long the first connection may take, since hosts are started in any order."""
DIAL_AGAIN_S = 0.5
BEAT_S = 1.0
INITIALIZER = WorkerName("initializer")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The options of ``wallaroo-run --join``."""

    initializer: str
    """The initializer's control address, ``host:port``."""
    name: str
    """The only worker that it runs; empty for any."""
    secret: bytes
    tls: TlsFiles | None
    application: ApplicationSettings
    bind_host: str = ""
    advertise_host: str = ""
    rejoin_s: float = 0.0
    """How long to try to reconnect after the initializer is lost."""
    own_options: dict[str, object] = dataclasses.field(default_factory=dict)
    """Fields of ``RunOptions`` that are this host's own, such as its folders."""
    takes_sources: bool = True
    """Whether the worker listens on the addresses of the sources."""
    zone: str = ""
    """What fails together with this host; empty for the host alone."""
    together: int = 1
    """A running cluster admits this many hosts together, when all of them wait."""
    stands_for_worker: bool = False
    """Whether this process ends with its worker, and a stop of it stops the cluster."""


class Agent:
    """One agent; ``run`` returns its exit status."""

    def __init__(
        self,
        settings: AgentSettings,
        plan: Application,
        signals: StopSignals,
        stop_others: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """``stop_others`` asks a cluster to stop if this host has no worker yet."""
        self._settings = settings
        self._signals = signals
        self._stop_others = stop_others
        self._plan = plan
        self._name = WorkerName(settings.name)
        """The worker that it runs; the initializer may give it a name each time."""
        self._tls = None if settings.tls is None else Tls(settings.tls)
        self._instance = secrets.token_hex(8)
        self._placement = LocalPlacement(
            self._worker_ended_with if settings.stands_for_worker else None
        )
        self._link: ControlLink | None = None
        self._signs: Liveness
        self._options = RunOptions()
        self._store = ""
        """The place of the checkpoints, by the initializer's name for it."""
        self._silence_s = FIRST_DIAL_S
        self._was_accepted = False
        self._is_accepted = False
        """Whether the present initializer has accepted this host."""
        self._is_starting = False
        """Whether the worker was ordered, and does not run yet."""
        self._is_leaving = False
        self._placed = Epoch(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Future[int | WallarooError | None]
        """Exit status, or the error that ends this agent; ``None`` if the initializer is lost."""

    @property
    def is_in_use(self) -> bool:
        """Whether the cluster has this host: its worker runs, or it stands by."""
        return self._is_accepted and not self._is_starting and not self._is_leaving

    async def run(self) -> int:
        """Serve one cluster until it ends.

        Raises ``WallarooError`` if the initializer refuses this agent.
        """
        loop = asyncio.get_running_loop()
        self._signals.deliver_to(self._asked_to_stop)
        patience_s = max(FIRST_DIAL_S, self._settings.rejoin_s)
        while True:
            self._over = loop.create_future()
            beat = asyncio.create_task(self._serve(patience_s))
            end = await self._over
            self._is_accepted = self._is_starting = False
            beat.cancel()
            if self._link is not None:
                await self._link.close()
                self._link = None
            await self._end_process()
            if isinstance(end, WallarooError):
                raise end
            if end is not None:
                return end
            if self._is_leaving and self._settings.stands_for_worker:
                return 0
            if not self._settings.rejoin_s or self._is_leaving:
                return STATUS_INITIALIZER_LOST
            patience_s = self._settings.rejoin_s

    # The link to the initializer

    async def _serve(self, patience_s: float) -> None:
        """Connect within ``patience_s``, offer this host, then send heartbeats until cancelled."""
        if not await self._dial(time.monotonic() + patience_s):
            return
        assert self._link is not None
        offer = Offer(
            NO_EPOCH,
            WorkerName(self._settings.name),
            socket.gethostname(),
            self._instance,
            list(outline(self._plan)),
            self._settings.together,
            self._settings.zone or socket.gethostname(),
        )
        self._link.send(offer)
        self._signs = Liveness(self._silence_s, BEAT_S)
        self._heard()
        while True:
            await asyncio.sleep(BEAT_S)
            self._link.send(Beat(NO_EPOCH))
            for _, _, silent_s in self._signs.silent(time.monotonic()):
                self._lost(f"it sent no heartbeat for {silent_s:.0f} s")

    async def _dial(self, until_s: float) -> bool:
        host, port = split_address(self._settings.initializer)
        told = ""
        while True:
            link = ControlLink(self._settings.secret, self._tls)
            try:
                await link.dial(host, port, self._received, self._lost)
            except NotOneOfUsError as error:
                where = self._settings.initializer
                what = f"this host cannot join the cluster at {where}: {error}"
                self._finish(ClusterError(what, error.refusal.hint))
                return False
            except (OSError, TimeoutError) as error:
                reason = str(error) or "no answer"
            else:
                self._link = link
                return True
            if time.monotonic() >= until_s:
                break
            if reason != told:
                told = reason
                log.info(
                    "initializer.waiting",
                    address=self._settings.initializer,
                    reason=reason,
                    next="tries to connect again",
                )
            await asyncio.sleep(DIAL_AGAIN_S)
        if self._was_accepted:
            self._lost(reason)
        else:
            self._finish(
                ClusterError(
                    f"this host cannot join the cluster at {self._settings.initializer}: {reason}",
                    hint="check the address given with --join, which the initializer's line "
                    "application.ready or hosts.waiting shows; give both the same secret and TLS",
                )
            )
        return False

    def _lost(self, reason: str) -> None:
        if not self._over.done():
            rejoin_s = self._settings.rejoin_s
            following = f"tries to reconnect for {rejoin_s:g} s" if rejoin_s else "this agent stops"
            log.error("initializer.lost", reason=reason, next=following)
            self._finish(None)

    def _finish(self, end: int | WallarooError | None) -> None:
        if not self._over.done():
            self._over.set_result(end)

    def _heard(self) -> None:
        self._signs.heard(INITIALIZER, Epoch(0), time.monotonic())

    def _received(self, frame: ControlFrame) -> None:
        self._heard()
        match frame:
            case Accepted():
                self._accepted(frame)
            case StartProcess():
                self._start(self._place(frame))
            case EndProcess(epoch):
                if epoch == self._placed:
                    self._placement.kill(self._name)
            case Dismissed(_, what, _, again=True) if self._settings.rejoin_s:
                self._lost(what)
            case Dismissed(_, what, hint):
                reason = what or "the worker is not needed any more"
                log.info("host.dismissed", reason=reason, next="this agent stops")
                is_asked = self._is_leaving and self._settings.stands_for_worker
                self._finish(ClusterError(what, hint) if what and not is_asked else 0)
            case _:
                pass  # a heartbeat

    def _accepted(self, frame: Accepted) -> None:
        assert self._link is not None
        self._was_accepted = True
        self._silence_s = frame.silence_ms / 1000
        self._signs = Liveness(self._silence_s, BEAT_S)
        self._heard()
        options, own = json.loads(frame.options), dict(self._settings.own_options)
        self._store = options["resilience"]
        if own.get("journals_are_local") and not options["journals_are_local"]:
            # The initializer's command line names a folder, and that of this host does not.
            del own["journals_are_local"], own["journal_folder"]
        self._options = RunOptions(**{**options, **own})
        log.info(
            "host.accepted",
            application=frame.application,
            initializer=self._settings.initializer,
            next="the agent starts a worker when the initializer asks for it",
        )
        try:
            journals = self._journals()
            self._link.send(Prepared(NO_EPOCH, journals, self._options.journals_are_local))
        except WallarooError as error:
            self._finish(error)
            return
        self._is_accepted = True

    def _journals(self) -> list[list[Any]]:
        """Return name and end of each journal here."""
        options = self._options
        if not options.resilience:
            return []
        if "://" not in options.resilience and not os.path.isdir(options.resilience):
            raise ConfigError(
                f"the checkpoints' folder {options.resilience} is not on this host",
                hint="mount the initializer's folder here, or say with --resilience-dir where it "
                "is; hosts without a common file system need a store at s3://",
            )
        folder = Path(options.journal_folder)
        # By the initializer's name for the store, since this host may mount it at another path.
        claim_folder(folder, self._store)
        return [[each.journal, each.end] for each in journal_extents(folder)]

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The worker

    async def _place(self, order: StartProcess) -> None:
        assert self._link is not None
        link, settings = self._link, self._settings
        self._is_starting = True
        await self._placement.ended(self._name)
        self._name = order.name
        host, port = split_address(settings.initializer)
        bind_host = settings.bind_host or link.local_host
        worker = WorkerSettings(
            name=order.name,
            incarnation=order.epoch,
            control_host=host,
            control_port=port,
            secret=settings.secret,
            application=settings.application,
            options=self._options,
            tls=settings.tls,
            bind_host=bind_host,
            # A worker that listens on all addresses listens on this one, which others may reach.
            advertise_host=settings.advertise_host
            or (link.local_host if is_wildcard(bind_host) else bind_host),
            source_addresses=(
                source_addresses(self._plan)
                if settings.takes_sources
                else [""] * len(self._plan.pipelines)
            ),
        )
        self._placed = order.epoch
        try:
            pid = await self._placement.start(worker, self)
        except ClusterError as error:
            following = "the initializer decides about another"
            log.error("worker.start_failed", reason=error.what, hint=error.hint, next=following)
            link.send(ProcessEnded(order.epoch, error.what))
            return
        self._is_starting = False
        link.send(ProcessStarted(order.epoch, pid))

    def worker_lost(
        self, _worker: WorkerName, incarnation: Epoch, reason: str, *, has_hung: bool = False
    ) -> None:
        """Report the end of the worker's process to the initializer."""
        log.info(
            "worker.ended", reason=reason, next="the initializer decides whether to restart it"
        )
        if self._link is not None:
            self._link.send(ProcessEnded(incarnation, reason, has_hung))

    def _worker_ended_with(self, status: int) -> None:
        if status > 0 and status != STATUS_INITIALIZER_LOST:
            self._finish(status)

    async def _end_process(self) -> None:
        self._placement.kill(self._name)
        await self._placement.ended(self._name)

    # Stop

    def stop_cluster(self) -> None:
        """Ask for an orderly stop of the cluster, through this host's worker if there is one."""
        self._is_leaving = True
        if not self._placement.ask_to_stop(self._name):
            self._start(self._stop_without_worker())

    async def _stop_without_worker(self) -> None:
        if self._stop_others is not None:
            await self._stop_others()
        self._finish(0)

    def _asked_to_stop(self) -> None:
        """Make the worker leave in order; at the second call, end it immediately."""
        if self._settings.stands_for_worker:
            self.stop_cluster()
            return
        if self._is_leaving or self._link is None or not self._was_accepted:
            what = "stopped immediately; the cluster goes on without this host"
            self._finish(ClusterError(what) if self._is_leaving else 0)
            return
        self._is_leaving = True
        following = "its keys move to other workers, then this agent stops"
        log.info("host.leaving", hint="ask a second time to stop immediately", next=following)
        self._link.send(Withdraw(NO_EPOCH))


def source_addresses(plan: Application) -> list[str]:
    """Return this host's address for each pipeline; empty if the address is another host's."""
    addresses = []
    for pipeline in plan.pipelines:
        address = pipeline.source.listening_address
        if address and not is_here(split_address(address)[0]):
            log.warning(
                "source.not_local",
                pipeline=pipeline.name,
                address=address,
                hint="this host accepts no records for it; give --in an address of this host, or "
                "0.0.0.0 on all hosts",
            )
            address = ""
        addresses.append(address)
    return addresses


def is_here(host: str) -> bool:
    """Return whether ``host`` is this host, or means all of its addresses."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.bind(where)
    except OSError:
        return False
    return True
