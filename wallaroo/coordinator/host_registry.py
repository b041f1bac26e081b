"""Decides which hosts are accepted, which are lost, which join the cluster, and which stand by.

An agent on a host offers to run one worker: one of a certain name, or any. ``Pool`` decides which
agent runs which worker:

    offered --accepted--> preparing --Prepared--> in the pool --lost, or dismissed--> forgotten
       |
       +--> refused

A host that offers a name while the cluster runs joins it, alone or together with others, see
``join_batch``. One that accepts any name gets the name of a lost worker. If there is none, it
stands by, or joins under a new name if enough others stand by.

The danger: an agent may be lost while its worker still runs, unseen. If another host started a
worker of that name immediately, two processes would write one journal. So ``Pool`` gives the name
to another only after the old worker has ended for certain: an agent ends its worker if it has heard
nothing from the initializer for ``silence_s``, and a worker ends if its agent does.

An agent may be started anew on another host before the loss of the first is known. So the offer of
a name that is taken is accepted, and waits, if its host has missed heartbeats.

The caller keeps the connections, by the ``instance`` of each agent. It reports only what arrives
over the connection of a host that was accepted and has not been lost or forgotten since. Times are
seconds from any origin.
"""

import enum
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import newest_epochs, parse_journal_name
from wallaroo.coordinator.host_refusal import InputAtRisk, Refusal, input_at_risk
from wallaroo.coordinator.join_batch import JoinBatch
from wallaroo.coordinator.liveness import Liveness
from wallaroo.coordinator.pool import Assignment, Pool, PoolAgent
from wallaroo.coordinator.starting_hosts import Choice, MembersBefore, choose_hosts
from wallaroo.coordinator.worker_names import next_names
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.fingerprint import difference
from wallaroo.wire.agents import Offer, Prepared

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Valid names of workers; a name becomes part of file names."""
BEAT_S = 1.0
"""How often an agent and the initializer send each other a heartbeat."""
ORPHAN_LIVES_S = 3.0
"""A worker ends within this time after its agent was killed; see ``wallaroo_workers.__main__``."""
SUSPECTED_AFTER_S = 2.5 * BEAT_S
"""A host that has not been heard from for this long may be lost, so another may offer its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """What the initializer expects of the hosts."""

    outline: list[str]
    silence_s: float
    """An agent or an initializer that sends no heartbeat for so long is lost for the other side."""
    absence_s: float
    """How long a worker waits for a host."""
    standby_max: int | None = None
    """How many hosts that accept any name stand by; others join. ``None`` for no limit."""
    own_host: str = ""
    """The name of the initializer's host."""
    journalled: Collection[str] = ()
    """The pipelines of which no accepted input may be lost, and which cannot read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts about a running cluster that decide whether a host can join or leave it."""

    members: Collection[WorkerName]
    used: Collection[WorkerName]
    """The names of all present and former workers; a new name is none of them."""
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Join:
    """These hosts join the cluster now, in one resize."""

    workers: list[WorkerName]


@dataclass(frozen=True, slots=True)
class JoinWaits:
    """The host waits until so many others have offered too."""

    here: list[WorkerName]
    missing: int


class Leave(enum.Enum):
    """What has to happen before a host can leave."""

    STOP = enum.auto()
    """The cluster stops: its last worker runs there."""
    RESIZE = enum.auto()
    """Its worker leaves the cluster first."""
    NOTHING = enum.auto()
    """It does not run a member, so it can be dismissed immediately."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """How many of the expected hosts are present."""

    here: list[str]
    """The names of the expected ones, in the order of their offers; never more than are expected.
    One that accepts any name is called after its host."""
    missing: int
    needed: list[WorkerName] = field(default_factory=list)
    """The workers of missing hosts whose input the last checkpoint needs."""


@dataclass(slots=True)
class _Host:
    """A host that was accepted."""

    offer: Offer
    heard_s: float
    prepared: Prepared | None = None
    """What it reported about its journals; ``None`` until a worker can be started there."""
    is_silent: bool = False

    def journals(self) -> Iterable[tuple[WorkerName, Epoch, int]]:
        """Return worker, epoch and end of each journal on this host."""
        for name, end in [] if self.prepared is None else self.prepared.journals:
            if (parsed := parse_journal_name(name)) is not None:
                yield WorkerName(parsed[0]), Epoch(parsed[1]), end


@dataclass(frozen=True, slots=True)
class HostCounts:
    """How many hosts a run needs, and how many it has; for supervisors that start hosts."""

    wanted: int
    """Hosts that should be connected: those that run workers, and those to be kept in reserve."""
    here: int
    """Hosts that run a worker."""
    standby: int
    """Hosts that stand by."""
    absent: list[WorkerName]
    """Workers without a host."""


class HostRegistry:
    """The hosts of one run."""

    def __init__(self, rules: HostRules) -> None:
        self.rules = rules
        # By instance, in the order of their offers: the first worker of a cluster runs on the
        # host that offered first.
        self._hosts: dict[str, _Host] = {}
        self._pool = Pool()
        self._joining = JoinBatch()
        self._liveness = Liveness(rules.silence_s, BEAT_S)

    @property
    def names(self) -> list[WorkerName]:
        """The names of all workers that live on hosts of agents."""
        return self._pool.wanted

    @property
    def newest_epoch(self) -> Epoch:
        """The newest epoch in which anything was written on one of the hosts."""
        epochs = (epoch for host in self._hosts.values() for _, epoch, _ in host.journals())
        return max(epochs, default=Epoch(0))

    def knows(self, worker: WorkerName) -> bool:
        """Return whether the worker of this name lives on a host of an agent."""
        return self._pool.wants(worker)

    # Offers

    def is_redial(self, offer: Offer) -> bool:
        """Return whether this agent is connected: it noticed the end of that connection first."""
        return offer.instance in self._hosts

    def offered(self, offer: Offer, now_s: float, run: RunFacts | None) -> Refusal | None:
        """Accept a host, or return why not; ``run`` is ``None`` until the cluster is formed."""
        if (refusal := self._refusal(offer, now_s, run)) is not None:
            return refusal
        self._hosts[offer.instance] = _Host(offer, now_s)
        self.heard(offer.instance, now_s)
        return None

    def _refusal(self, offer: Offer, now_s: float, run: RunFacts | None) -> Refusal | None:
        if offer.name and not NAME.fullmatch(offer.name):
            return Refusal(
                f"{offer.name!r} is not a valid name of a worker",
                "give --name up to 64 letters, digits, dots, dashes and underscores",
            )
        if offer.outline != self.rules.outline:
            what = difference(self.rules.outline, offer.outline)
            return Refusal(
                f"it has another application than the initializer: {what}",
                "give both the same code and arguments, and build the application without chance "
                "or time in it",
            )
        if not offer.name:
            return None
        taken = self._holder(offer.name)
        if taken is not None and now_s - taken.heard_s <= SUSPECTED_AFTER_S:
            return Refusal(
                f"the name {offer.name} is taken by host {taken.offer.host}",
                "give another name with --name, or end that one first",
            )
        if run is not None and not self.knows(offer.name):
            why = self._why_not(offer.name, offer.together, run)
            return Refusal(why, "see docs/hosts.md") if why else None
        return None

    def _holder(self, worker: WorkerName) -> _Host | None:
        """Return the host that runs this worker, or else one that has offered to."""
        if (instance := self._pool.holder(worker)) is not None:
            return self._hosts[instance]
        return next((each for each in self._hosts.values() if each.offer.name == worker), None)

    def _why_not(self, worker: WorkerName, together: int, run: RunFacts) -> str:
        """Return why a name cannot join; empty if it can."""
        if worker in run.members:
            return f"{worker} is a worker of the initializer's own host"
        return self._joining.refusal(together)

    def prepared(self, instance: str, frame: Prepared) -> InputAtRisk | None:
        """Note that a worker can be started on this host, or return why not."""
        host = self._hosts[instance]
        rules = self.rules
        at_risk = input_at_risk(host.offer, frame, rules.own_host, rules.journalled)
        if at_risk is not None:
            return at_risk
        host.prepared = frame
        newest = newest_epochs((worker, epoch) for worker, epoch, _ in host.journals())
        offer = host.offer
        only_name = offer.name or None
        agent = PoolAgent(instance=instance, zone=offer.zone, only_name=only_name, newest=newest)
        self._pool.arrived(agent)
        return None

    # Names

    def want(self, workers: Iterable[WorkerName], now_s: float) -> None:
        """Look for hosts for these workers."""
        self._pool.want(workers, now_s)

    def release(self, worker: WorkerName) -> None:
        """Look for no host for this worker any more; nothing of it is left."""
        self._pool.release(worker)

    def assignments(self, now_s: float) -> list[Assignment]:
        """Return which hosts have got a name just now."""
        return self._pool.assignments(now_s)

    def holder(self, worker: WorkerName) -> str | None:
        """Return the instance of the agent that runs this worker, if one does."""
        return self._pool.holder(worker)

    def name_of(self, instance: str) -> WorkerName | None:
        """Return the worker that runs on this host, if there is one."""
        return self._pool.name_of(instance)

    def lease_ends_s(self) -> float | None:
        """Return when to ask for ``assignments`` again, if nothing happens until then."""
        return self._pool.lease_ends_s()

    def lease_left_s(self, worker: WorkerName, now_s: float) -> float:
        """Return for how long a lost process of this worker may still run."""
        return self._pool.lease_left_s(worker, now_s)

    # Joining and leaving a cluster that has been formed

    @property
    def standby(self) -> list[str]:
        """The instances of the prepared agents that run no worker."""
        return [each.instance for each in self._pool.standby]

    def arrived(self, instance: str, run: RunFacts) -> Refusal | Join | JoinWaits | None:
        """Return what to do with a prepared host; ``None`` if it has a name, or stands by."""
        host = self._hosts.get(instance)
        if host is None or instance not in self.standby:
            return None
        offer = host.offer
        if offer.name and self.knows(offer.name):
            return None  # it waits for its name
        worker = offer.name
        if not worker:
            limit = self.rules.standby_max
            unnamed = [each for each in self._pool.standby if each.only_name is None]
            # Some of them wait for the names of lost workers, until these have ended for certain.
            if limit is None or len(unnamed) - len(self._pool.absent) <= limit:
                return None
            (worker,) = next_names({*run.used, *self.names}, 1)
        elif why := self._why_not(worker, offer.together, run):
            # The cluster may have changed since the offer.
            return Refusal(why, "")
        written = max((epoch for _, epoch, end in host.journals() if end > HEADER_BYTES), default=0)
        if written > run.epoch:
            return _unread_journals(Epoch(written), run.epoch)
        if not offer.name:
            return Join([worker])
        if complete := self._joining.arrived(worker, offer.together):
            return Join(complete)
        here = self._joining.waiting
        return JoinWaits(here, offer.together - len(here))

    def leaving(self, worker: WorkerName, run: RunFacts) -> Leave:
        """Return what has to happen before the host of this worker can leave."""
        if worker not in run.members:
            return Leave.NOTHING
        return Leave.STOP if len(run.members) == 1 else Leave.RESIZE

    def forget(self, instance: str) -> None:
        """Forget a host that has left, or could not join, and the name that it has."""
        host = self._hosts.pop(instance, None)
        if host is None:
            return
        self._joining.disconnected(host.offer.name)
        self._liveness.disconnected(WorkerName(instance))
        if host.prepared is not None:
            self._pool.left(instance)

    def forget_hosts(self) -> None:
        """Forget all hosts at the end of the run."""
        for instance in list(self._hosts):
            self.forget(instance)

    # Silence, loss and absence

    def heard(self, instance: str, now_s: float) -> None:
        """Note that an agent is alive."""
        self._hosts[instance].heard_s = now_s
        self._liveness.heard(WorkerName(instance), Epoch(0), now_s)

    def silent(self, now_s: float) -> list[tuple[str, float]]:
        """Return each agent that has been silent for too long, and for how long; once each."""
        silent = [(str(name), silent_s) for name, _, silent_s in self._liveness.silent(now_s)]
        for instance, _ in silent:
            self._hosts[instance].is_silent = True
        return silent

    def lost(self, instance: str, now_s: float, *, has_process: bool) -> None:
        """Note the end of a host's connection; ``has_process``: it was told to start a worker."""
        host = self._hosts.pop(instance)
        self._liveness.disconnected(WorkerName(instance))
        self._joining.disconnected(host.offer.name)
        if host.prepared is None:
            return
        unseen_s = 0.0
        if has_process:
            # If only the agent's own frames are lost, it continues until it notices that the
            # connection has ended, or until our heartbeats are missing too.
            silence_s = self.rules.silence_s + 2 * BEAT_S
            unseen_s = silence_s if host.is_silent else ORPHAN_LIVES_S
        self._pool.lost(instance, now_s, unseen_s)

    # Presence

    def absent_until_s(self, worker: WorkerName, now_s: float) -> float:
        """Return the time until which a worker waits for a host."""
        since_s = self._pool.absent_since_s(worker)
        return (now_s if since_s is None else since_s) + self.rules.absence_s

    def awaited(
        self, count: int, names: Collection[str], needed: Sequence[WorkerName] = ()
    ) -> Awaited:
        """Return which of the hosts are present that a start waits for, see ``choose_hosts``."""
        choice = self._choice(count, names, needed)
        here = [offer.name or offer.host for offer in choice.offers]
        return Awaited(here, choice.missing, choice.needed)

    def form(
        self,
        count: int,
        names: Collection[str],
        own: Collection[WorkerName],
        before: MembersBefore,
        now_s: float,
    ) -> list[WorkerName]:
        """Return the names of the workers that start on these hosts, and look for these hosts.

        Hosts that accept any name get those of the workers ``before``; first those whose input is
        needed. The initializer has its ``own`` workers.
        """
        offered = [offer.name for offer in self._choice(count, names, before.needed).offers]
        taken = {*own, *offered}
        earlier = dict.fromkeys([*before.needed, *before.members])
        free = [worker for worker in earlier if worker not in taken]
        free += next_names({*taken, *earlier}, max(offered.count(WorkerName("")) - len(free), 0))
        chosen = iter(free)
        workers = [name or next(chosen) for name in offered]
        self.want(workers, now_s)
        return workers

    def counts(self, expected: int) -> HostCounts:
        """Return how many hosts are needed and connected; a start waits for ``expected`` hosts."""
        names, absent = self._pool.wanted, [*self._pool.absent]
        return HostCounts(
            wanted=(len(names) or expected) + (self.rules.standby_max or 0),
            here=len(names) - len(absent),
            standby=len(self._pool.standby),
            absent=absent,
        )

    def _choice(self, count: int, names: Collection[str], needed: Sequence[WorkerName]) -> Choice:
        hosts = self._hosts.values()
        offers = [host.offer for host in hosts if host.prepared is not None]
        return choose_hosts(offers, count, names, needed)


def _unread_journals(written: Epoch, current: Epoch) -> Refusal:
    """Return the refusal of a host whose journals have records of a later epoch.

    A worker that joins a running cluster replays no journal, and a later recovery would take these
    records for new ones.
    """
    return Refusal(
        f"its folder of journals has records of epoch {written}, which this cluster at epoch "
        f"{current} knows nothing of",
        "to have them processed, stop the cluster and begin with this host, see "
        "--expect-workers; else give --journal-dir another folder, or move these journals away",
    )
