"""Which hosts a cluster runs on: what its workers are told, and through whom they are started."""

import dataclasses
import json
import secrets
from dataclasses import dataclass

from wallaroo.cluster.events import StartWorker
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Plan
from wallaroo_workers.initializer.agents import AgentRules, Agents
from wallaroo_workers.initializer.placement import Placement, PlacementByName
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.network.tls import Tls, TlsFiles
from wallaroo_workers.security import is_wildcard
from wallaroo_workers.settings import ApplicationSettings, RunOptions, WorkerSettings

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What ``wallaroo-run`` was told about other hosts."""

    secret: bytes | None = None
    """``None``: a random one, which only workers of this host get to know."""
    tls: TlsFiles | None = None
    agent_count: int = 0
    """Workers elsewhere that the start waits for."""
    agent_timeout_s: float = 60.0
    """How long a worker whose host is lost waits for another."""
    bind_host: str = ""
    advertise_host: str = ""


class Hosts:
    """This host and those that have offered; ``placement`` starts workers on each."""

    def __init__(
        self,
        settings: HostSettings,
        application: ApplicationSettings,
        options: RunOptions,
        plan: Plan,
        here: Placement,
        silence_s: float,
    ) -> None:
        self._settings = settings
        self._application = application
        self._options = options
        self.secret = settings.secret or secrets.token_bytes(SECRET_BYTES)
        self.tls = None if settings.tls is None else Tls(settings.tls)
        rules = AgentRules(
            application=plan.application,
            outline=list(outline(plan)),
            options=json.dumps(dataclasses.asdict(options)),
            silence_s=silence_s,
            absence_s=settings.agent_timeout_s,
        )
        self.agents = Agents(rules)
        self.placement = PlacementByName(here, self.agents, self.agents.knows)

    def worker_settings(self, order: StartWorker, control_address: str) -> WorkerSettings:
        """Return what a worker of this host is started with."""
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
