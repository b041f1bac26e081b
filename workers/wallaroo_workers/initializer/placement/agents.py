"""The hosts that have offered to run one worker each, seen from the initializer.

An agent is a process on another host that starts one worker there and reports when it has ended.
For the rest of the initializer it is a placement like any other: if a process or its host is lost,
the worker is restarted through the agent with its name, either the same agent or a new one.
"""

import asyncio
import time
from typing import Protocol

from wallaroo.coordinator.host_registry import BEAT_S, HostRegistry, RunFacts
from wallaroo.errors import ClusterError
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

    def arrived(self, worker: WorkerName) -> None:
        """Handle a new host, on which a worker can be started."""
        ...

    def withdrawn(self, worker: WorkerName) -> None:
        """Handle an agent's request to release its host."""
        ...


class Agents:
    """All agents, by the name of their worker; starts workers through them."""

    def __init__(
        self, registry: HostRegistry, events: HostEvents, application: str, options: str
    ) -> None:
        """``options`` is the ``RunOptions`` of all workers, as JSON."""
        self._registry = registry
        self._rules = registry.rules
        self._events = events
        self._application = application
        self._options = options
        self._agents: dict[WorkerName, Agent] = {}
        """The connection of each host that the registry has."""
        self.changed = asyncio.Event()
        """Set whenever a host is connected, prepared or lost."""
        self._timer: asyncio.TimerHandle | None = None
        self.missing = 0
        """How many agents the start still waits for."""
        self._error = ""
        """The error that ended the run, for agents; empty if there is none."""

    def begin(self) -> None:
        """Send heartbeats and check those of agents, from now on."""
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self.begin)
        for agent in self._agents.values():
            agent.send(Beat(NO_EPOCH))
        for name, silent_s in self._registry.silent(time.monotonic()):
            self._agents[name].abort(f"it sent no heartbeat for {silent_s:.0f} s")

    def heartbeat(self, agent: Agent) -> None:
        """Note that an agent is alive."""
        if self._agents.get(agent.name) is agent:
            self._registry.heard(agent.name, time.monotonic())

    def offered(self, connection: FrameConnection, frame: ControlFrame) -> Guest:
        """Accept or refuse a host that an agent offers."""
        assert isinstance(frame, Offer)
        if self._registry.is_redial(frame):
            before = self._agents[frame.name]
            self.lost(before, "it has dialed anew")
            before.abort("it has dialed anew")
        agent = Agent(self, connection, frame)
        refusal = self._registry.offered(frame, time.monotonic(), self._events.run_facts())
        if refusal is not None:
            what, hint = refusal.what, refusal.hint
            facts = {"worker": frame.name, "host": frame.host, "peer": connection.peer}
            log.warning("host.rejected", **facts, reason=what, hint=hint, next="it is sent away")
            agent.dismiss(self._rules.silence_s, f"{REFUSES}: {what}", hint)
            return agent
        self._agents[frame.name] = agent
        silence_ms = int(self._rules.silence_s * 1000)
        agent.send(Accepted(NO_EPOCH, self._application, silence_ms, self._options))
        facts = {"worker": frame.name, "host": frame.host, "peer": connection.peer}
        log.info("host.connected", **facts, next="it gets ready to run the worker")
        return agent

    def prepared(self, agent: Agent, frame: Prepared) -> None:
        """Note that a worker can be started on the agent's host."""
        if self._agents.get(agent.name) is not agent:
            return
        is_new = self._registry.prepared(agent.name, frame)
        self.changed.set()
        if is_new:
            self._events.arrived(agent.name)

    def withdrawn(self, agent: Agent) -> None:
        """Handle an agent's request to release its host."""
        if self._agents.get(agent.name) is agent:
            self._events.withdrawn(agent.name)

    def lost(self, agent: Agent, reason: str) -> None:
        """Handle the end of an agent's connection."""
        if self._agents.get(agent.name) is not agent:
            return
        del self._agents[agent.name]
        has_process = agent.process is not None
        self._registry.lost(agent.name, time.monotonic(), has_process=has_process)
        log.warning(
            "host.lost",
            worker=agent.name,
            host=agent.host,
            reason=reason,
            next=f"another may take its name within {self._rules.absence_s:g} s",
        )
        self.changed.set()
        if agent.process is not None:
            reason = f"its host {agent.host} was lost: {reason}"
            agent.process_ended(agent.process.incarnation, reason)

    async def wait_for_offers(
        self, count: int, names: tuple[str, ...], address: str
    ) -> list[WorkerName]:
        """Wait until so many agents are prepared; return their names, in order of arrival.

        If there are ``names``, only these count. ``address`` is for the log: where agents join.
        """
        logged_s = -WAITING_LOGGED_EVERY_S
        while (awaited := self._registry.awaited(count, names)).missing:
            self.changed.clear()
            self.missing = awaited.missing
            now_s = time.monotonic()
            if now_s - logged_s >= WAITING_LOGGED_EVERY_S:
                logged_s = now_s
                arrived = ", ".join(awaited.here) or "none"
                hint = f"start them elsewhere with --join {address}"
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
        return awaited.here

    def refuse(self, worker: WorkerName, what: str, hint: str) -> None:
        """Dismiss an agent whose worker could not join the cluster."""
        self.dismiss(worker, f"{REFUSES}: {what}", hint)

    def dismiss(self, worker: WorkerName, what: str = "", hint: str = "") -> None:
        """Release the host of a worker that has left the cluster, or could not join it."""
        self._registry.forget(worker)
        if (agent := self._agents.pop(worker, None)) is not None:
            agent.dismiss(self._rules.silence_s, what, hint)

    def run_failed(self, what: str) -> None:
        """Note the error that ended the run; agents get it when they are dismissed."""
        self._error = what

    # As a placement

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a worker through its agent; return its process id, 0 if it never ran.

        Raises ``ClusterError`` if there is no agent with its name for too long.
        """
        name = WorkerName(settings.name)
        agent = await self._present(name)
        while await self._leftover_ended(agent):
            # The host may have been lost and replaced in the meantime.
            agent = await self._present(name)
        return await agent.start_process(Epoch(settings.incarnation), events).pid

    async def _leftover_ended(self, agent: Agent) -> bool:
        """Wait until nothing is left of the worker on a host that was lost.

        Return whether that took any time.
        """
        left_s = self._registry.leftover_s(agent.name, time.monotonic())
        if left_s > 0:
            log.info(
                "worker.start_delayed",
                worker=agent.name,
                ends_within_s=round(left_s, 1),
                next="the new one starts after that",
            )
            await asyncio.sleep(left_s)
        return left_s > 0

    async def _present(self, name: WorkerName) -> Agent:
        until_s = self._registry.absent_until_s(name, time.monotonic())
        while not self._registry.is_present(name):
            self.changed.clear()
            left_s = until_s - time.monotonic()
            try:
                async with asyncio.timeout(left_s):
                    await self.changed.wait()
            except TimeoutError:
                raise ClusterError(
                    f"no host has offered to run worker {name} for {self._rules.absence_s:g} s",
                    hint=f"start one with --join and --name {name}, or give --agent-timeout more "
                    "time",
                ) from None
        return self._agents[name]

    def kill(self, worker: WorkerName) -> None:
        """Kill what is left of this worker's process."""
        agent = self._agents.get(worker)
        if agent is not None and agent.process is not None and not agent.process.ended.is_set():
            agent.send(EndProcess(agent.process.incarnation))

    async def ended(self, worker: WorkerName) -> None:
        """Return when nothing is left of this worker's process."""
        agent = self._agents.get(worker)
        if agent is not None and agent.process is not None:
            await agent.process.ended.wait()

    async def stop(self) -> None:
        """Wait for all processes to end, kill those that do not, and dismiss the agents."""
        await self._all_ended(KILL_AFTER_S)
        for worker in self._agents:
            self.kill(worker)
        await self._all_ended(KILLED_AWAITED_S)
        if self._timer is not None:
            self._timer.cancel()
        agents = list(self._agents.values())
        self._agents.clear()
        self._registry.forget_hosts()
        for agent in agents:
            why = self._error and f"the cluster has ended: {self._error}"
            agent.dismiss(self._rules.silence_s, why)
        leaving = [asyncio.ensure_future(agent.disconnected.wait()) for agent in agents]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=self._rules.silence_s)
            for wait in late:
                wait.cancel()

    async def _all_ended(self, timeout_s: float) -> None:
        waiting = [asyncio.ensure_future(self.ended(worker)) for worker in self._agents]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=timeout_s)
            for wait in late:
                wait.cancel()
