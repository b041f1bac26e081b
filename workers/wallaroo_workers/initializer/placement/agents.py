"""The hosts that have offered to run one worker each, seen from the initializer.

An agent is a process on another host that starts one worker there and reports when it has ended.
For the rest of the initializer it is a placement like any other: if a process or its host is lost,
the worker is restarted through the agent with its name, either the same agent or a new one.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from wallaroo.coordinator.liveness import Liveness
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.fingerprint import difference
from wallaroo.wire.agents import Accepted, Beat, EndProcess, Offer, StartProcess
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import NO_EPOCH
from wallaroo_workers.initializer.control.server import Guest
from wallaroo_workers.initializer.placement.agent_link import Agent, AgentProcess
from wallaroo_workers.initializer.placement.local import KILL_AFTER_S
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.settings import WorkerSettings

log = get_logger()

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Valid names of workers; a name becomes part of file names."""
BEAT_S = 1.0
WAITING_LOGGED_EVERY_S = 10.0
KILLED_AWAITED_S = 2.0
ORPHAN_LIVES_S = 3.0
"""A worker ends within this time after its agent was killed; see ``wallaroo_workers.__main__``."""
REFUSES = "the initializer refuses us"
"""Agents report this before the reason of a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRules:
    """What the initializer expects of its agents."""

    application: str
    outline: list[str]
    options: str
    """The ``RunOptions`` of all workers, as JSON."""
    silence_s: float
    """An agent or an initializer that sends no heartbeat for so long is lost for the other side."""
    absence_s: float
    """How long a worker waits for an agent with its name."""


class Agents:
    """All agents, by the name of their worker; starts workers through them."""

    def __init__(self, rules: AgentRules) -> None:
        self._rules = rules
        self._agents: dict[WorkerName, Agent] = {}
        self._names: dict[WorkerName, float] = {}
        """By name of each agent that was ever accepted and did not leave: when its connection
        ended, or 0 while it is connected."""
        self._leftovers: dict[WorkerName, tuple[str, float]] = {}
        """The lost instance of an agent, and the time until which its worker may still run."""
        self.changed = asyncio.Event()
        """Set whenever a host is connected, prepared or lost."""
        self._liveness = Liveness(rules.silence_s, BEAT_S)
        self._timer: asyncio.TimerHandle | None = None
        self.refusal: Callable[[WorkerName, int], str] = lambda _name, _together: ""
        """Returns why a new name cannot be accepted; empty if it can."""
        self.on_new: Callable[[WorkerName, int], None] = lambda _name, _together: None
        """Called for each new name that is accepted."""
        self.on_lost: Callable[[WorkerName], None] = lambda _: None
        """Called when an agent's connection has ended."""
        self.on_leave: Callable[[WorkerName], None] = lambda _: None
        """Called when an agent asks for its host to be released."""
        self.on_exit: Callable[[WorkerName, Epoch, str], None] = lambda _name, _epoch, _why: None
        self.missing = 0
        """How many agents the start still waits for."""
        self.error = ""
        """The error that ended the run, for agents; empty if there is none."""

    def begin(self) -> None:
        """Send heartbeats and check those of agents, from now on."""
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self.begin)
        for agent in self._agents.values():
            agent.send(Beat(NO_EPOCH))
        for name, _, silent_s in self._liveness.silent(time.monotonic()):
            if (silent := self._agents.get(name)) is not None:
                silent.is_silent = True
                silent.abort(f"it sent no heartbeat for {silent_s:.0f} s")

    @property
    def names(self) -> list[WorkerName]:
        """The names of all agents that were ever accepted and did not leave."""
        return list(self._names)

    def knows(self, worker: WorkerName) -> bool:
        """Return whether an agent runs the worker of this name."""
        return worker in self._names

    def heartbeat(self, agent: Agent) -> None:
        """Note that an agent is alive."""
        if self._agents.get(agent.name) is agent:
            self._liveness.heard(agent.name, Epoch(0), time.monotonic())

    def offered(self, connection: FrameConnection, frame: ControlFrame) -> Guest:
        """Accept or refuse a host that an agent offers."""
        assert isinstance(frame, Offer)
        before = self._agents.get(frame.name)
        if before is not None and before.instance == frame.instance:
            # The agent has noticed the end of the old connection before this side.
            self.lost(before, "it has dialed anew")
            before.abort("it has dialed anew")
        agent = Agent(self, connection, frame)
        if (refusal := self._refusal(frame)) is not None:
            what, hint = refusal
            facts = {"worker": frame.name, "host": frame.host, "peer": connection.peer}
            log.warning("host.rejected", **facts, reason=what, hint=hint, next="it is sent away")
            agent.dismiss(self._rules.silence_s, f"{REFUSES}: {what}", hint)
            return agent
        self._agents[frame.name] = agent
        self.heartbeat(agent)
        rules = self._rules
        silence_ms = int(rules.silence_s * 1000)
        agent.send(Accepted(NO_EPOCH, rules.application, silence_ms, rules.options))
        facts = {"worker": frame.name, "host": frame.host, "peer": connection.peer}
        log.info("host.connected", **facts, next="it gets ready to run the worker")
        return agent

    def prepared(self, agent: Agent) -> None:
        """Note that a worker can be started on the agent's host."""
        if self._agents.get(agent.name) is not agent:
            return
        is_new = agent.name not in self._names
        self._names[agent.name] = 0.0
        self.changed.set()
        if is_new:
            self.on_new(agent.name, agent.together)

    @property
    def newest_epoch(self) -> Epoch:
        """The newest epoch in which anything was written on one of the hosts."""
        return max((each.newest_epoch or Epoch(0) for each in self._prepared()), default=Epoch(0))

    def _prepared(self) -> list[Agent]:
        return [agent for agent in self._agents.values() if agent.newest_epoch is not None]

    def _refusal(self, offer: Offer) -> tuple[str, str] | None:
        """Return why a host cannot be accepted and what to do about it; ``None`` if it can."""
        rules = self._rules
        if not NAME.fullmatch(offer.name):
            return (
                f"{offer.name!r} is not a valid name of a worker",
                "give --name up to 64 letters, digits, dots, dashes and underscores",
            )
        if offer.outline != rules.outline:
            what = difference(rules.outline, offer.outline)
            return (
                f"it has another application than the initializer: {what}",
                "give both the same code and arguments, and build the application without chance "
                "or time in it",
            )
        if (taken := self._agents.get(offer.name)) is not None:
            return (
                f"the name {offer.name} is taken by host {taken.host}",
                "give another name with --name, or end that one first",
            )
        if offer.name not in self._names and (why := self.refusal(offer.name, offer.together)):
            return why, "see docs/hosts.md"
        return None

    def lost(self, agent: Agent, reason: str) -> None:
        """Handle the end of an agent's connection."""
        if self._agents.get(agent.name) is not agent:
            return
        del self._agents[agent.name]
        self._liveness.disconnected(agent.name)
        now_s = self._names[agent.name] = time.monotonic()
        # If only the agent's own frames are lost, it continues until it notices that the
        # connection has ended, or until our heartbeats are missing too.
        unseen_s = self._rules.silence_s + 2 * BEAT_S if agent.is_silent else ORPHAN_LIVES_S
        if agent.process is not None:
            self._leftovers[agent.name] = (agent.instance, now_s + unseen_s)
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
        self.on_lost(agent.name)

    async def wait_for_offers(
        self, count: int, names: tuple[str, ...], address: str
    ) -> list[WorkerName]:
        """Wait until so many agents are prepared; return their names, in order of arrival.

        If there are ``names``, only these count. ``address`` is for the log: where agents join.
        """
        logged_s = -WAITING_LOGGED_EVERY_S
        while len(here := self._expected(names)) < count:
            self.changed.clear()
            self.missing = count - len(here)
            now_s = time.monotonic()
            if now_s - logged_s >= WAITING_LOGGED_EVERY_S:
                logged_s = now_s
                arrived = ", ".join(agent.name for agent in here) or "none"
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
        return [agent.name for agent in here[:count]]

    def _expected(self, names: tuple[str, ...]) -> list[Agent]:
        return [agent for agent in self._prepared() if not names or agent.name in names]

    def forget(self, worker: WorkerName) -> None:
        """Forget an agent that is lost before a worker was started through it."""
        self._names.pop(worker, None)

    def together(self, worker: WorkerName) -> int:
        """Return how many workers the agent wants to join together, its own included."""
        return self._agents[worker].together if worker in self._agents else 1

    def records_epoch(self, worker: WorkerName) -> Epoch:
        """Return the newest epoch in which a record was written to a journal on its host."""
        return self._agents[worker].records_epoch if worker in self._agents else Epoch(0)

    def refuse(self, worker: WorkerName, what: str, hint: str) -> None:
        """Dismiss an agent whose worker could not join the cluster."""
        self.dismiss(worker, f"{REFUSES}: {what}", hint)

    def dismiss(self, worker: WorkerName, what: str = "", hint: str = "") -> None:
        """Release the host of a worker that has left the cluster, or could not join it."""
        self._names.pop(worker, None)
        if (agent := self._agents.pop(worker, None)) is not None:
            self._liveness.disconnected(worker)
            agent.dismiss(self._rules.silence_s, what, hint)

    # As a placement

    async def start(self, settings: WorkerSettings) -> int:
        """Start a worker through its agent; return its process id, 0 if it never ran.

        Raises ``ClusterError`` if there is no agent with its name for too long.
        """
        name = WorkerName(settings.name)
        agent = await self._present(name)
        await self._leftover_ended(agent)
        process = agent.process = AgentProcess(Epoch(settings.incarnation))
        agent.send(StartProcess(process.incarnation))
        return await process.pid

    async def _leftover_ended(self, agent: Agent) -> None:
        """Wait until nothing is left of the worker on a host that was lost.

        There is nothing to wait for if the same agent connects again: it has ended its worker.
        """
        instance, ends_s = self._leftovers.pop(agent.name, ("", 0.0))
        if instance != agent.instance and (left_s := ends_s - time.monotonic()) > 0:
            log.info(
                "worker.start_delayed",
                worker=agent.name,
                ends_within_s=round(left_s, 1),
                next="the new one starts after that",
            )
            await asyncio.sleep(left_s)

    async def _present(self, name: WorkerName) -> Agent:
        since_s = self._names.get(name) or time.monotonic()
        until_s = since_s + self._rules.absence_s
        while (agent := self._agents.get(name)) is None or agent.newest_epoch is None:
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
        return agent

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
        for agent in agents:
            why = self.error and f"the cluster has ended: {self.error}"
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
