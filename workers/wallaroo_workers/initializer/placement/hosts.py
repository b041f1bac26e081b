"""The hosts of a cluster: starts workers on them, and lets hosts join and leave."""

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.lost_input import journalled
from wallaroo.coordinator.events import StartWorker
from wallaroo.coordinator.host_refusal import Refusal
from wallaroo.coordinator.host_registry import (
    HostRegistry,
    HostRules,
    Join,
    JoinWaits,
    Leave,
    RunFacts,
)
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application
from wallaroo_workers.initializer.placement.agents import Agents
from wallaroo_workers.initializer.placement.host_reports import HostReports
from wallaroo_workers.initializer.placement.hosted_run import HostedRun
from wallaroo_workers.initializer.placement.local import Placement, PlacementByName
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.network.tls import Tls, TlsFiles
from wallaroo_workers.security import is_wildcard
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings

log = get_logger()

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The options of ``wallaroo-run`` about other hosts."""

    secret: bytes | None = None
    """``None`` for a random secret, which only the workers of this host get."""
    tls: TlsFiles | None = None
    agent_count: int = 0
    """The number of agents that the start waits for."""
    agent_names: tuple[str, ...] = ()
    """Their names; empty for those that connect first."""
    agent_timeout_s: float = 60.0
    """How long a worker whose host is lost waits for another host."""
    standby_max: int | None = None
    """How many agents that accept any name stand by; others join. ``None`` for no limit."""
    homes_fd: int | None = None
    """The file descriptor of a supervisor that reads how many hosts are wanted, if there is one."""
    runs_workers: bool = True
    """Whether this host runs workers of its own."""
    bind_host: str = ""
    advertise_host: str = ""


class Hosts:
    """This host and those of agents; ``placement`` starts workers on each of them."""

    def __init__(
        self,
        settings: HostSettings,
        application: ApplicationSettings,
        options: RunOptions,
        plan: Application,
        here: Placement,
        silence_s: float,
        *,
        may_lose_input: bool = False,
    ) -> None:
        self._settings = settings
        self._expected = settings.agent_count
        """How many agents the start waits for; more, if the last checkpoint needs their input."""
        self._may_lose_input = may_lose_input
        self._application = application
        self._options = options
        self.secret = settings.secret or secrets.token_bytes(SECRET_BYTES)
        self.tls = None if settings.tls is None else Tls(settings.tls)
        rules = HostRules(
            outline=list(outline(plan)),
            silence_s=silence_s,
            absence_s=settings.agent_timeout_s,
            standby_max=settings.standby_max,
            own_host=socket.gethostname(),
            journalled=journalled(plan) if options.resilience and not may_lose_input else (),
        )
        self.registry = HostRegistry(rules)
        self.agents = Agents(
            self.registry, self, plan.name, json.dumps(dataclasses.asdict(options))
        )
        self._reports = HostReports(settings.homes_fd)
        self.placement = PlacementByName(here, self.agents, self.registry.knows)
        self.is_ready = asyncio.Event()
        """Set once the application accepts records."""
        self._address = ""
        """Where agents join."""
        self._run: HostedRun | None = None
        """``None`` until the cluster is formed."""
        self._withdrawn: dict[WorkerName, str | None] = {}
        """Workers whose hosts asked to leave before that, and the agents that asked."""

    @property
    def tls_facts(self) -> dict[str, str] | None:
        """The TLS files, for commands on this host."""
        return None if self._settings.tls is None else dataclasses.asdict(self._settings.tls)

    def begin(self, address: str) -> None:
        """Serve agents, which join at ``address``."""
        self._address = address
        self.agents.begin()

    async def wait_for_hosts(
        self, own: Collection[WorkerName], before: MembersBefore
    ) -> list[WorkerName]:
        """Wait for the expected agents, and those with needed input; return their workers' names.

        ``own`` are the workers of this host.
        """
        count, names = self._settings.agent_count, self._settings.agent_names
        self._expected = max(count, len(before.needed))
        # A host that is lost for good must not keep a run waiting that may do without its input.
        limit_s = self._settings.agent_timeout_s if self._may_lose_input else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.agents.wait_for_offers(count, names, self._address, before.needed)
        await self.agents.wait_for_offers(count, names, self._address)
        workers = self.registry.form(count, names, own, before, time.monotonic())
        self.agents.assign()
        return workers

    def counts(self) -> dict[str, Any]:
        """Return how many hosts are wanted and connected."""
        return dataclasses.asdict(self.registry.counts(self._expected))

    def why_not_yet(self) -> ClusterError:
        """Return the error for requests during the start: it says what the start waits for."""
        if missing := self.agents.missing:
            return ClusterError(
                f"the cluster is not there yet: it waits for hosts to join; missing: {missing}",
                hint=f"start them with --join; SIGTERM to process {os.getpid()} ends it",
            )
        return ClusterError(
            "the cluster is not there yet: it is being formed", hint="ask again in a moment"
        )

    def serve(self, run: HostedRun) -> None:
        """Let agents join and leave the run from now on: the cluster is formed."""
        self._run = run
        for instance in self.registry.standby:
            self.arrived(instance)
        for worker, asked_by in self._withdrawn.items():
            # Another agent may have its name by now.
            if self.registry.holder(worker) == asked_by:
                self.withdrawn(worker)

    # What agents report

    def run_facts(self) -> RunFacts | None:
        """Return what decides about new hosts; ``None`` until the cluster is formed."""
        return None if self._run is None else self._run.facts

    def arrived(self, instance: str) -> None:
        """Let the worker of a new host join the cluster, alone or together with others."""
        if (run := self._run) is None:
            return
        match self.registry.arrived(instance, run.facts):
            case Refusal() as refusal:
                self.agents.refuse(instance, refusal)
            case Join(workers):
                self.registry.want(workers, time.monotonic())
                self.agents.assign()
                run.start_task(self._grow(run, workers))
            case JoinWaits(waiting, missing):
                here = ", ".join(waiting)
                log.info("hosts.waiting", here=here, missing=missing, next="they join together")
            case None if instance in self.registry.standby:
                self.agents.log_reserved(instance)
            case None:
                pass  # it has got the name of a worker

    def changed(self) -> None:
        """Report how many hosts are wanted, if a supervisor reads it."""
        if self._reports.are_read:
            self._reports.report({"control": self._address, **self.counts()})

    def withdrawn(self, worker: WorkerName) -> None:
        """Let the worker leave the cluster, and release its host."""
        if (run := self._run) is not None:
            run.start_task(self._shrink(run, worker))
        else:
            self._withdrawn[worker] = self.registry.holder(worker)

    async def _grow(self, run: HostedRun, workers: list[WorkerName]) -> None:
        await self.is_ready.wait()
        try:
            await run.resize(workers, [])
        except ClusterError as error:
            # During an orderly stop these agents are dismissed together with all others.
            if not run.is_ending:
                for worker in workers:
                    self.agents.join_failed(worker, error)

    async def resize(self, added: Sequence[str], leaving: Sequence[str]) -> Any:
        """Let workers join on request: on hosts if these stand by, or if only hosts run workers."""
        run = self._run
        assert run is not None, "requests are answered once the cluster is formed"
        joining = [WorkerName(name) for name in added]
        is_here = self._settings.runs_workers and len(self.registry.standby) < len(joining)
        if not joining or is_here:
            return await run.resize_now(joining, leaving)
        self.registry.want(joining, time.monotonic())
        self.agents.assign()
        try:
            return await run.resize_now(joining, leaving)
        except ClusterError:
            for worker in joining:
                await self.agents.stand_by(worker)
            raise

    async def left(self, worker: WorkerName) -> None:
        """Release the host of a worker that left, once its process has ended."""
        if self.registry.knows(worker):
            await self.agents.ended(worker)
            self.agents.dismiss(worker)

    async def _shrink(self, run: HostedRun, worker: WorkerName) -> None:
        leave = self.registry.leaving(worker, run.facts)
        if leave is Leave.STOP:
            log.info("host.leaving", worker=worker, next="the cluster stops: it needs this worker")
            run.stop_in_order(worker)
            return
        try:
            if leave is Leave.RESIZE:
                await run.resize([], [worker])
        except ClusterError as error:
            facts = {"worker": worker, "reason": error.what, "hint": error.hint}
            log.warning("host.leave_rejected", **facts, next="its worker goes on")
        else:
            self.agents.dismiss(worker)

    def worker_settings(self, order: StartWorker, control_address: str) -> WorkerSettings:
        """Return the settings for starting a worker on this host."""
        host, port = split_address(control_address)
        bind_host = self._settings.bind_host
        if is_wildcard(host):
            bind_host = bind_host or host
            host = "::1" if ":" in host else "127.0.0.1"
        return WorkerSettings(
            name=order.worker,
            incarnation=order.incarnation,
            control_host=host,
            control_port=port,
            secret=self.secret,
            application=self._application,
            options=self._options,
            tls=self._settings.tls,
            bind_host=bind_host,
            advertise_host=self._settings.advertise_host,
        )
