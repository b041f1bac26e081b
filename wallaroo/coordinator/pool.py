"""Decides which agent runs which worker.

An agent is a process on a host that can run one worker. It may accept one name only, or any:

    arrived --> standby --assign--> holder of a name --lost, or the worker left--> not in the pool
                   ^                        |
                   +------released----------+

A *wanted* name is that of a worker that has to run on some agent. If it has no holder it is absent,
and the next agent that fits gets it. Names that are absent for longer go first.

The danger is that two processes use one name, because they would write one journal. An agent may be
lost while its worker still runs, unseen. So each loss starts a **lease** on the name: nobody gets
the name until the lost worker has ended for certain. An agent ends its own worker before it
connects again, so its return ends the lease.

Which agent gets a name:

1. the one that accepts this name only;
2. else the one that has the newest journal of this worker on its disk: a disk that was attached
   again, or the same host started anew. It can replay what the worker had accepted;
3. else one in the zone with the fewest workers, so that the loss of a zone costs few of them.
   Agents with journals of other absent workers go last, and otherwise those that arrived first go
   first.

Invariants, which ``check`` asserts: an agent holds one name at most, a name has one holder at most,
and only wanted names have one.

Times are seconds from any origin. The caller asks for ``assignments`` after each event, and when a
lease ends (``lease_ends_s``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wallaroo.names import Epoch, WorkerName


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAgent:
    """An agent that can run a worker."""

    instance: str
    """Identifies the agent when it connects again."""
    zone: str
    """What fails together, such as a host or a rack."""
    only_name: WorkerName | None = None
    """The only name that it accepts; ``None`` for any."""
    newest: Mapping[WorkerName, Epoch] = field(default_factory=dict)
    """By worker: the epoch of its newest journal on this agent's disk."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """This agent runs this worker from now on."""

    instance: str
    name: WorkerName


@dataclass(frozen=True, slots=True)
class _Lease:
    """How long a lost agent's worker may still run."""

    instance: str
    ends_s: float


class Pool:
    """The agents of one run, and the names of the workers that live on agents."""

    def __init__(self) -> None:
        # In the order of their arrival.
        self._agents: dict[str, PoolAgent] = {}
        self._holders: dict[WorkerName, str] = {}
        """By name: the instance of the agent that runs it."""
        self._absent: dict[WorkerName, float] = {}
        """The wanted names without a holder, and since when."""
        self._leases: dict[WorkerName, _Lease] = {}

    # Names

    @property
    def wanted(self) -> list[WorkerName]:
        """The names of all workers that live on agents."""
        return [*self._holders, *self._absent]

    @property
    def absent(self) -> dict[WorkerName, float]:
        """The wanted names without an agent, and since when; the longest absent first."""
        return dict(self._absent)

    def wants(self, name: WorkerName) -> bool:
        """Return whether this worker lives on an agent."""
        return name in self._holders or name in self._absent

    def absent_since_s(self, name: WorkerName) -> float | None:
        """Return since when a wanted name has no agent; ``None`` if it is not absent."""
        return self._absent.get(name)

    def want(self, names: Iterable[WorkerName], now_s: float) -> None:
        """Look for agents for these workers from now on."""
        for name in names:
            if name not in self._holders:
                self._absent.setdefault(name, now_s)

    def holder(self, name: WorkerName) -> str | None:
        """Return the instance of the agent that runs this worker."""
        return self._holders.get(name)

    def name_of(self, instance: str) -> WorkerName | None:
        """Return the name that an agent holds."""
        return next((name for name, held_by in self._holders.items() if held_by == instance), None)

    def release(self, name: WorkerName) -> None:
        """Stop looking for an agent for this name; nothing of its worker is left, so the agent that
        has it stands by again."""
        self._holders.pop(name, None)
        self._absent.pop(name, None)

    # Agents

    @property
    def standby(self) -> list[PoolAgent]:
        """The agents that run no worker, in the order of their arrival."""
        held = set(self._holders.values())
        return [agent for agent in self._agents.values() if agent.instance not in held]

    def arrived(self, agent: PoolAgent) -> None:
        """Add an agent."""
        assert agent.instance not in self._agents
        self._agents[agent.instance] = agent
        self._leases = {
            name: each for name, each in self._leases.items() if each.instance != agent.instance
        }

    def left(self, instance: str) -> None:
        """Remove an agent whose worker has ended in order; its name is not wanted any more."""
        self._removed(instance)

    def lost(self, instance: str, now_s: float, unseen_s: float) -> None:
        """Remove an agent that was lost; its worker may still run for so long, unseen."""
        if (name := self._removed(instance)) is None:
            return
        self._absent[name] = now_s
        if unseen_s > 0:
            self._leases[name] = _Lease(instance, now_s + unseen_s)

    def _removed(self, instance: str) -> WorkerName | None:
        """Remove an agent; return the name that it held."""
        del self._agents[instance]
        if (name := self.name_of(instance)) is not None:
            del self._holders[name]
        return name

    # Assignments

    def assignments(self, now_s: float) -> list[Assignment]:
        """Give absent names to agents, as far as both are free; return who got which."""
        self._leases = {name: each for name, each in self._leases.items() if each.ends_s > now_s}
        if not self._absent:
            return []
        made: list[Assignment] = []
        free = {agent.instance: agent for agent in self.standby}
        # First the agents that fit a name, so that nobody else takes them.
        for finds in (_own_agent, self._agent_with_journal, self._any_agent):
            for name in [each for each in self._absent if each not in self._leases]:
                candidates = [each for each in free.values() if each.only_name in (None, name)]
                if (agent := finds(name, candidates)) is not None:
                    del free[agent.instance]
                    del self._absent[name]
                    self._holders[name] = agent.instance
                    made.append(Assignment(agent.instance, name))
        return made

    def lease_ends_s(self) -> float | None:
        """Return when the next absent name becomes free; ``None`` if none waits for its lease."""
        waiting = [each.ends_s for name, each in self._leases.items() if name in self._absent]
        return min(waiting, default=None)

    def lease_left_s(self, name: WorkerName, now_s: float) -> float:
        """Return for how long a lost process of this worker may still run."""
        lease = self._leases.get(name)
        return 0.0 if lease is None else max(lease.ends_s - now_s, 0.0)

    def _agent_with_journal(
        self, name: WorkerName, candidates: list[PoolAgent]
    ) -> PoolAgent | None:
        having = [each for each in candidates if name in each.newest]
        newest = max((each.newest[name] for each in having), default=None)
        return self._spread([each for each in having if each.newest[name] == newest])

    def _any_agent(self, _: WorkerName, candidates: list[PoolAgent]) -> PoolAgent | None:
        without = [each for each in candidates if self._absent.keys().isdisjoint(each.newest)]
        return self._spread(without or candidates)

    def _spread(self, agents: list[PoolAgent]) -> PoolAgent | None:
        zones = Counter(self._agents[holder].zone for holder in self._holders.values())
        return min(agents, key=lambda agent: zones[agent.zone], default=None)

    def check(self) -> None:
        """Assert the invariants that are listed at the top of this file."""
        holders = [*self._holders.values()]
        assert len(set(holders)) == len(holders), "an agent holds two names"
        assert set(holders) <= set(self._agents), "a name is held by an agent that is not there"
        assert self._holders.keys().isdisjoint(self._absent), "an absent name has a holder"


def _own_agent(name: WorkerName, candidates: list[PoolAgent]) -> PoolAgent | None:
    return next((each for each in candidates if each.only_name == name), None)
