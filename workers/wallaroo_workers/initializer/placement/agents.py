"""The hosts that have offered to run a worker each, seen from the initializer.

An agent is a process on another host that starts one worker there and says when it has ended. To
the rest of the initializer it is a placement like any other: a worker whose process or host is lost
is started again through the agent of that name, the same or another.
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
"""What a worker may be called; its name becomes part of file names."""
BEAT_S = 1.0
WAITING_TOLD_EVERY_S = 10.0
KILLED_AWAITED_S = 2.0
ORPHAN_LIVES_S = 3.0
"""A worker whose agent was killed has ended after so long; see ``wallaroo_workers.__main__``."""
REFUSES = "the initializer refuses us"
"""What agents say before the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRules:
    """What the initializer expects of its agents."""

    application: str
    outline: list[str]
    options: str
    """JSON of the ``RunOptions`` of all workers."""
    silence_s: float
    """After so long without a sign of life an agent is lost, and so is the initializer."""
    absence_s: float
    """How long a worker waits for an agent of its name."""


class Agents:
    """All agents, by the name of their worker; places workers through them."""

    def __init__(self, rules: AgentRules) -> None:
        self._rules = rules
        self._agents: dict[WorkerName, Agent] = {}
        self._names: dict[WorkerName, float] = {}
        """Of all that were ever accepted and did not leave; since when one is absent, else 0."""
        self._leftovers: dict[WorkerName, tuple[str, float]] = {}
        """The instance that was lost, and until when its worker may live on, unseen."""
        self.changed = asyncio.Event()
        """Set whenever a host has come or gone."""
        self._signs = Liveness(rules.silence_s, BEAT_S)
        self._timer: asyncio.TimerHandle | None = None
        self.why_not: Callable[[WorkerName, int], str] = lambda _name, _together: ""
        """Why a new name cannot be taken in; empty where it can."""
        self.on_new: Callable[[WorkerName, int], None] = lambda _name, _together: None
        """Called for each new name that is taken in."""
        self.on_lost: Callable[[WorkerName], None] = lambda _: None
        """Called when an agent's connection is gone."""
        self.on_leave: Callable[[WorkerName], None] = lambda _: None
        """Called when somebody wants an agent's host back."""
        self.on_exit: Callable[[WorkerName, Epoch, str], None] = lambda _name, _epoch, _why: None
        self.missing = 0
        """How many the start still waits for."""
        self.error = ""
        """What agents are told when the run ends."""

    def begin(self) -> None:
        """Show signs of life, and look for theirs, from now on."""
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self.begin)
        for agent in self._agents.values():
            agent.send(Beat(NO_EPOCH))
        for name, _, silent_s in self._signs.silent(time.monotonic()):
            if (silent := self._agents.get(name)) is not None:
                silent.is_silent = True
                silent.abort(f"it gave no sign of life for {silent_s:.0f} s")

    @property
    def names(self) -> list[WorkerName]:
        """Of all that were ever accepted and did not leave."""
        return list(self._names)

    def knows(self, worker: WorkerName) -> bool:
        """Whether a worker of this name lives with an agent."""
        return worker in self._names

    def heard(self, agent: Agent) -> None:
        """An agent lives."""
        if self._agents.get(agent.name) is agent:
            self._signs.heard(agent.name, Epoch(0), time.monotonic())

    def offered(self, connection: FrameConnection, frame: ControlFrame) -> Guest:
        """Somebody offers a host; take it or refuse it."""
        assert isinstance(frame, Offer)
        before = self._agents.get(frame.name)
        if before is not None and before.instance == frame.instance:
            # It has noticed before us that the connection was gone.
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
        self.heard(agent)
        rules = self._rules
        silence_ms = int(rules.silence_s * 1000)
        agent.send(Accepted(NO_EPOCH, rules.application, silence_ms, rules.options))
        facts = {"worker": frame.name, "host": frame.host, "peer": connection.peer}
        log.info("host.connected", **facts, next="it gets ready to run the worker")
        return agent

    def prepared(self, agent: Agent) -> None:
        """A worker may be started there."""
        if self._agents.get(agent.name) is not agent:
            return
        is_new = agent.name not in self._names
        self._names[agent.name] = 0.0
        self.changed.set()
        if is_new:
            self.on_new(agent.name, agent.together)

    @property
    def newest_epoch(self) -> Epoch:
        """The newest epoch that anything on any of the hosts was written in."""
        return max((each.newest_epoch or Epoch(0) for each in self._here()), default=Epoch(0))

    def _here(self) -> list[Agent]:
        return [agent for agent in self._agents.values() if agent.newest_epoch is not None]

    def _refusal(self, offer: Offer) -> tuple[str, str] | None:
        """Say why a host cannot be taken, and what to do about it; ``None`` where it can."""
        rules = self._rules
        if not NAME.fullmatch(offer.name):
            return (
                f"{offer.name!r} is no name for a worker",
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
        if offer.name not in self._names and (why := self.why_not(offer.name, offer.together)):
            return why, "see docs/hosts.md"
        return None

    def lost(self, agent: Agent, reason: str) -> None:
        """An agent's connection is gone."""
        if self._agents.get(agent.name) is not agent:
            return
        del self._agents[agent.name]
        self._signs.disconnected(agent.name)
        now_s = self._names[agent.name] = time.monotonic()
        # An agent that hears us and is not heard goes on until the end of the connection reaches
        # it, or until it hears nothing either.
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
        """Wait until so many have offered; return their names, in the order they came.

        Only ``names`` count, if there are any. ``address`` is where they are to join, for people.
        """
        told_s = -WAITING_TOLD_EVERY_S
        while len(here := self._expected(names)) < count:
            self.changed.clear()
            self.missing = count - len(here)
            now_s = time.monotonic()
            if now_s - told_s >= WAITING_TOLD_EVERY_S:
                told_s = now_s
                came = ", ".join(agent.name for agent in here) or "none"
                hint = f"start them elsewhere with --join {address}"
                log.info(
                    "hosts.waiting",
                    missing=self.missing,
                    here=came,
                    hint=hint,
                    next="the workers start once all are there",
                )
            try:
                left_s = told_s + WAITING_TOLD_EVERY_S - now_s
                async with asyncio.timeout(left_s):
                    await self.changed.wait()
            except TimeoutError:
                pass  # it is time to say again whom we wait for
        self.missing = 0
        return [agent.name for agent in here[:count]]

    def _expected(self, names: tuple[str, ...]) -> list[Agent]:
        return [agent for agent in self._here() if not names or agent.name in names]

    def forget(self, worker: WorkerName) -> None:
        """Nothing was started for this name, and its agent is gone."""
        self._names.pop(worker, None)

    def together(self, worker: WorkerName) -> int:
        """Return with how many an agent would come."""
        return self._agents[worker].together if worker in self._agents else 1

    def records_epoch(self, worker: WorkerName) -> Epoch:
        """Return the newest epoch in which any record was written down on an agent's host."""
        return self._agents[worker].records_epoch if worker in self._agents else Epoch(0)

    def refuse(self, worker: WorkerName, what: str, hint: str) -> None:
        """The worker could not join the cluster."""
        self.dismiss(worker, f"{REFUSES}: {what}", hint)

    def dismiss(self, worker: WorkerName, what: str = "", hint: str = "") -> None:
        """The worker has left the cluster, or could not join it; its host is free."""
        self._names.pop(worker, None)
        if (agent := self._agents.pop(worker, None)) is not None:
            self._signs.disconnected(worker)
            agent.dismiss(self._rules.silence_s, what, hint)

    # As a placement

    async def start(self, settings: WorkerSettings) -> int:
        """Start a worker through its agent; return its process id, 0 where it never ran.

        Raises ``ClusterError`` when there is no such agent for too long.
        """
        name = WorkerName(settings.name)
        agent = await self._present(name)
        await self._leftover_ended(agent)
        process = agent.process = AgentProcess(Epoch(settings.incarnation))
        agent.send(StartProcess(process.incarnation))
        return await process.pid

    async def _leftover_ended(self, agent: Agent) -> None:
        """Wait until nothing is left of the worker on a host that was lost.

        An agent that dials again has ended its own.
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
        """End what is left of this worker's process."""
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
        leaving = [asyncio.ensure_future(agent.gone.wait()) for agent in agents]
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
