"""The hosts that have offered to run one worker each, seen from the initializer.

An agent is a process on another host that starts one worker there and reports when it has ended.
For the rest of the initializer it is a placement like any other: if a process or its host is lost,
the worker is restarted through the agent that has its name, either the same agent or another one.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from wallaroo.coordinator.host_refusal import InputAtRisk, Refusal
from wallaroo.coordinator.host_registry import (
    BEAT_S,
    HostRegistry,
    RunFacts,
)
from wallaroo.coordinator.worker_names import listed
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.agents import Accepted, Beat, EndProcess, Offer, Prepared
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.initializer.control.server import Guest
from wallaroo_workers.initializer.placement.agent_link import Agent
from wallaroo_workers.initializer.placement.local import KILL_AFTER_S, ProcessEvents
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.settings import WorkerSettings

log = get_logger()

WAITING_LOGGED_EVERY_S = 10.0
KILLED_AWAITED_S = 2.0
REFUSES = "the initializer refuses us"
"""Agents report this before the reason of a refusal."""


class HostEvents(Protocol):
    """Handles hosts that arrive and leave."""

    def run_facts(self) -> RunFacts | None:
        """Return what decides about new hosts; ``None`` until the cluster is formed."""
        ...

    def arrived(self, instance: str) -> None:
        """Handle a new host, on which a worker can be started."""
        ...

    def withdrawn(self, worker: WorkerName) -> None:
        """Handle an agent's request to release its host."""
        ...

    def changed(self) -> None:
        """Note that hosts may have connected, got a name, or been lost."""
        ...


class Agents:
    """All agents; starts workers through them."""

    def __init__(
        self, registry: HostRegistry, events: HostEvents, application: str, options: str
    ) -> None:
        """``options`` is the ``RunOptions`` of all workers, as JSON."""
        self._registry = registry
        self._rules = registry.rules
        self._events = events
        self._application = application
        self._options = options
        self._agents: dict[str, Agent] = {}
        """The connection of each host that the registry has, by instance."""
        self._lease: asyncio.TimerHandle | None = None
        """Runs when a name may become free."""
        self.changed = asyncio.Event()
        """Set whenever a host is connected, prepared or lost."""
        self._timer: asyncio.TimerHandle | None = None
        self.missing = 0
        """How many agents the start still waits for."""
        self._at_risk: InputAtRisk | None = None
        """Why a start that waits for agents ends, if it does."""
        self._dismissed: set[Agent] = set()
        """Agents whose connection has not ended yet."""
        self._error = ""
        """The error that ended the run, for agents; empty if there is none."""
        self._may_return = False
        """Whether the run may be started again."""

    def begin(self) -> None:
        """Send heartbeats and check those of agents, from now on."""
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self.begin)
        self._events.changed()
        for agent in self._agents.values():
            agent.send(Beat(NO_EPOCH))
        for instance, silent_s in self._registry.silent(time.monotonic()):
            self._agents[instance].abort(f"it sent no heartbeat for {silent_s:.0f} s")

    def heartbeat(self, agent: Agent) -> None:
        """Note that an agent is alive."""
        if self._knows(agent):
            self._registry.heard(agent.instance, time.monotonic())

    def _knows(self, agent: Agent) -> bool:
        return self._agents.get(agent.instance) is agent

    def _agent_of(self, worker: WorkerName) -> Agent | None:
        """Return the agent that runs this worker."""
        return self._agents.get(self._registry.holder(worker) or "")

    def offered(self, connection: FrameConnection, frame: ControlFrame) -> Guest:
        """Accept or refuse a host that an agent offers."""
        assert isinstance(frame, Offer)
        if self._registry.is_redial(frame):
            before = self._agents[frame.instance]
            self.lost(before, "it has dialed anew")
            before.abort("it has dialed anew")
        agent = Agent(self, connection, frame)
        refusal = self._registry.offered(frame, time.monotonic(), self._events.run_facts())
        if refusal is not None:
            self._reject(agent, refusal)
            return agent
        self._agents[agent.instance] = agent
        silence_ms = int(self._rules.silence_s * 1000)
        agent.send(Accepted(NO_EPOCH, self._application, silence_ms, self._options))
        facts = {"worker": agent.label, "host": agent.host, "peer": agent.peer}
        log.info("host.connected", **facts, next="it gets ready to run the worker")
        return agent

    def prepared(self, agent: Agent, frame: Prepared) -> None:
        """Note that a worker can be started on the agent's host."""
        if not self._knows(agent):
            return
        at_risk = self._registry.prepared(agent.instance, frame)
        if at_risk is not None:
            self._forget(agent.instance)
            self._reject(agent, at_risk)
            self._at_risk = at_risk
            self.changed.set()
            return
        self.assign()
        self._events.arrived(agent.instance)

    def assign(self) -> None:
        """Give names to hosts, now and whenever one becomes free."""
        if self._lease is not None:
            self._lease.cancel()
            self._lease = None
        now_s = time.monotonic()
        for each in self._registry.assignments(now_s):
            host = self._agents[each.instance].host
            log.info("host.assigned", worker=each.name, host=host, next="it runs this worker")
        self._events.changed()
        ends_s = self._registry.lease_ends_s()
        if ends_s is not None:
            loop = asyncio.get_running_loop()
            self._lease = loop.call_later(max(ends_s - now_s, 0.0), self.assign)
        self.changed.set()

    def log_reserved(self, instance: str) -> None:
        """Log that a host stands by."""
        agent = self._agents[instance]
        following = "it waits until a worker needs it"
        log.info("host.reserved", worker=agent.label, host=agent.host, next=following)

    def withdrawn(self, agent: Agent) -> None:
        """Handle an agent's request to release its host."""
        if not self._knows(agent):
            return
        worker = self._registry.name_of(agent.instance)
        if worker is not None:
            self._events.withdrawn(worker)
        else:
            self._dismiss(agent.instance)

    def lost(self, agent: Agent, reason: str) -> None:
        """Handle the end of an agent's connection."""
        self._dismissed.discard(agent)
        if not self._knows(agent):
            return
        del self._agents[agent.instance]
        process = agent.process
        had_worker = self._registry.name_of(agent.instance) is not None
        self._registry.lost(agent.instance, time.monotonic(), has_process=process is not None)
        log.warning(
            "host.lost",
            worker=agent.label if process is None else process.worker,
            host=agent.host,
            reason=reason,
            next=f"another may take its name within {self._rules.absence_s:g} s"
            if had_worker
            else "it ran no worker",
        )
        self.assign()
        if agent.process is not None:
            reason = f"its host {agent.host} was lost: {reason}"
            agent.process_ended(agent.process.incarnation, reason)

    async def wait_for_offers(
        self,
        count: int,
        names: tuple[str, ...],
        address: str,
        needed: Sequence[WorkerName] = (),
    ) -> None:
        """Wait until so many agents are prepared, and those of the workers ``needed``.

        If there are ``names``, only these count. ``address`` is for the log: where agents join.
        Raises ``ConfigError`` if accepted input could be lost with the host of one of them.
        """
        logged_s = -WAITING_LOGGED_EVERY_S
        while (awaited := self._registry.awaited(count, names, needed)).missing:
            if self._at_risk is not None:
                raise ConfigError(self._at_risk.what, self._at_risk.hint)
            self.changed.clear()
            self.missing = awaited.missing
            now_s = time.monotonic()
            if now_s - logged_s >= WAITING_LOGGED_EVERY_S:
                logged_s = now_s
                arrived = ", ".join(awaited.here) or "none"
                hint = f"start them elsewhere with --join {address}"
                if awaited.needed:
                    workers = listed(awaited.needed)
                    hint += f"; the last checkpoint needs the input on the hosts of {workers}"
                log.info(
                    "hosts.waiting",
                    missing=self.missing,
                    here=arrived,
                    hint=hint,
                    next="the workers start once all are there",
                )
            try:
                left_s = logged_s + WAITING_LOGGED_EVERY_S - now_s
                async with asyncio.timeout(left_s):
                    await self.changed.wait()
            except TimeoutError:
                pass  # it is time to log again which agents are missing
        self.missing = 0

    def refuse(self, instance: str, why: Refusal | ClusterError) -> None:
        """Dismiss an agent whose worker could not join the cluster."""
        agent = self._agents[instance]
        worker = self._registry.name_of(instance) or agent.label
        self._log_join_failed(why, worker=worker, host=agent.host)
        self._dismiss(instance, f"{REFUSES}: {why.what}", why.hint)

    def join_failed(self, worker: WorkerName, why: ClusterError) -> None:
        """Dismiss the host of a worker that could not join the cluster, if it is still there."""
        instance = self._registry.holder(worker)
        if instance is None:
            self._log_join_failed(why, worker=worker)
        else:
            self.refuse(instance, why)
        self._registry.release(worker)

    def _log_join_failed(self, why: Refusal | ClusterError, **facts: str) -> None:
        facts |= {"reason": why.what, "hint": why.hint}
        log.warning("host.join_failed", **facts, next="it is sent away")

    def dismiss(self, worker: WorkerName) -> None:
        """Release the host of a worker that has left the cluster."""
        instance = self._registry.holder(worker)
        self._registry.release(worker)
        if instance is not None:
            self._dismiss(instance)

    def _dismiss(self, instance: str, what: str = "", hint: str = "") -> None:
        if (agent := self._forget(instance)) is not None:
            self._send_away(agent, what, hint)

    def _forget(self, instance: str) -> Agent | None:
        self._registry.forget(instance)
        return self._agents.pop(instance, None)

    def _reject(self, agent: Agent, why: Refusal) -> None:
        """Log why an agent that is not known is not accepted, and tell it."""
        facts = {"worker": agent.label, "host": agent.host, "peer": agent.peer}
        facts |= {"reason": why.what, "hint": why.hint}
        log.warning("host.rejected", **facts, next="it is sent away")
        self._send_away(agent, f"{REFUSES}: {why.what}", why.hint)

    def _send_away(self, agent: Agent, what: str, hint: str) -> None:
        self._dismissed.add(agent)
        agent.dismiss(self._rules.silence_s, what, hint)

    async def stand_by(self, worker: WorkerName) -> None:
        """Let the agent of a worker that could not join stand by again."""
        await self.ended(worker)
        self._registry.release(worker)
        self.assign()

    def run_failed(self, error: WallarooError) -> None:
        """Note the error that ended the run; agents get it when they are dismissed.

        A supervisor may start the run again, unless the error is a mistake of the user.
        """
        self._error = error.what
        self._may_return = error.exit_code != ConfigError.exit_code

    # As a placement

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a worker through its agent; return its process id, 0 if it never ran.

        Raises ``ClusterError`` if no agent can run it for too long.
        """
        name = WorkerName(settings.name)
        self._registry.want([name], time.monotonic())
        self.assign()
        agent = await self._present(name)
        return await agent.start_process(name, Epoch(settings.incarnation), events).pid

    async def _present(self, name: WorkerName) -> Agent:
        now_s = time.monotonic()
        until_s = self._registry.absent_until_s(name, now_s)
        if left_s := self._registry.lease_left_s(name, now_s):
            log.info(
                "worker.start_delayed",
                worker=name,
                ends_within_s=round(left_s, 1),
                next="the new one starts after that",
            )
        while (agent := self._agent_of(name)) is None:
            self.changed.clear()
            left_s = until_s - time.monotonic()
            try:
                async with asyncio.timeout(left_s):
                    await self.changed.wait()
            except TimeoutError:
                raise ClusterError(
                    f"no host has offered to run worker {name} for {self._rules.absence_s:g} s",
                    hint=f"start one with --join, or with --join and --name {name}, or give "
                    "--agent-timeout more time",
                ) from None
        return agent

    def kill(self, worker: WorkerName) -> None:
        """Kill what is left of this worker's process."""
        agent = self._agent_of(worker)
        if agent is not None and agent.process is not None and not agent.process.ended.is_set():
            agent.send(EndProcess(agent.process.incarnation))

    async def ended(self, worker: WorkerName) -> None:
        """Return when nothing is left of this worker's process."""
        agent = self._agent_of(worker)
        if agent is not None and agent.process is not None:
            await agent.process.ended.wait()

    async def stop(self) -> None:
        """Wait for all processes to end, kill those that do not, and dismiss the agents."""
        await self._all_ended(KILL_AFTER_S)
        for worker in self._registry.names:
            self.kill(worker)
        await self._all_ended(KILLED_AWAITED_S)
        for timer in (self._timer, self._lease):
            if timer is not None:
                timer.cancel()
        self._lease = None
        agents = list(self._agents.values())
        self._agents.clear()
        self._registry.forget_hosts()
        for agent in agents:
            why = self._error and f"the cluster has ended: {self._error}"
            agent.dismiss(self._rules.silence_s, why, again=self._may_return)
        # If this process ended first, an agent might not read why it is dismissed.
        agents += self._dismissed
        leaving = [asyncio.ensure_future(agent.disconnected.wait()) for agent in agents]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=self._rules.silence_s)
            for wait in late:
                wait.cancel()

    async def _all_ended(self, timeout_s: float) -> None:
        waiting = [asyncio.ensure_future(self.ended(worker)) for worker in self._registry.names]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=timeout_s)
            for wait in late:
                wait.cancel()
