"""Decides which hosts may run one worker each, which of them are lost, and which are awaited.

An agent on a host offers the name of a worker. The name belongs to that host until the worker has
left the cluster:

    offered --accepted--> preparing --Prepared--> present --lost--> absent
       |                      ^                                        |
       +--> refused           +------------- offered again ------------+

A host that offers while the cluster runs joins it, alone or together with others, see
``join_batch``.

The danger: an agent may be lost while its worker still runs, unseen. If another host started a
worker of that name immediately, two processes would write one journal. So a new process waits until
the old one has ended for certain (``leftover_s``): an agent ends its worker if it has heard nothing
from the initializer for ``silence_s``, and a worker ends if its agent does. An agent that connects
again has ended its own worker, so there is nothing to wait for; it is recognized by its
``instance``.

The caller keeps the connections. It reports only what arrives over the connection of a host that
was accepted and has not been lost or forgotten since. Times are seconds from any origin.
"""

import enum
import re
from collections.abc import Collection
from dataclasses import dataclass

from wallaroo.coordinator.join_batch import JoinBatch
from wallaroo.coordinator.liveness import Liveness
from wallaroo.names import Epoch, WorkerName
from wallaroo.topology.fingerprint import difference
from wallaroo.wire.agents import Offer, Prepared

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Valid names of workers; a name becomes part of file names."""
BEAT_S = 1.0
"""How often an agent and the initializer send each other a heartbeat."""
ORPHAN_LIVES_S = 3.0
"""A worker ends within this time after its agent was killed; see ``wallaroo_workers.__main__``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """What the initializer expects of the hosts."""

    outline: list[str]
    silence_s: float
    """An agent or an initializer that sends no heartbeat for so long is lost for the other side."""
    absence_s: float
    """How long a worker waits for a host that offers its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts about a running cluster that decide whether a host can join or leave it."""

    members: Collection[WorkerName]
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not accepted or cannot join, and what to do about it."""

    what: str
    hint: str


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

    here: list[WorkerName]
    """The expected ones, in the order of their offers; never more than are expected."""
    missing: int


@dataclass(slots=True)
class _Host:
    """A host that was accepted."""

    offer: Offer
    prepared: Prepared | None = None
    """What it reported about its journals; ``None`` until a worker can be started there."""
    is_silent: bool = False


class HostRegistry:
    """The hosts of one run, by the names of their workers."""

    def __init__(self, rules: HostRules) -> None:
        self.rules = rules
        # In the order of their offers: the first worker of a cluster is the first that offered.
        self._hosts: dict[WorkerName, _Host] = {}
        self._names: dict[WorkerName, float | None] = {}
        """The names of all hosts that were ever prepared and did not leave, and since when
        a host is absent; ``None`` while it is connected."""
        self._leftovers: dict[WorkerName, tuple[str, float]] = {}
        """The lost instance of an agent, and the time until which its worker may still run."""
        self._joining = JoinBatch()
        self._liveness = Liveness(rules.silence_s, BEAT_S)

    @property
    def names(self) -> list[WorkerName]:
        """The names of all hosts that were ever prepared and did not leave."""
        return list(self._names)

    @property
    def newest_epoch(self) -> Epoch:
        """The newest epoch in which anything was written on one of the hosts."""
        prepared = [host.prepared for host in self._hosts.values() if host.prepared is not None]
        return max((each.epoch for each in prepared), default=Epoch(0))

    def knows(self, worker: WorkerName) -> bool:
        """Return whether the worker of this name belongs to one of the hosts."""
        return worker in self._names

    # Offers

    def is_redial(self, offer: Offer) -> bool:
        """Return whether this agent is connected: it noticed the end of that connection first."""
        host = self._hosts.get(offer.name)
        return host is not None and host.offer.instance == offer.instance

    def offered(self, offer: Offer, now_s: float, run: RunFacts | None) -> Refusal | None:
        """Accept a host, or return why not; ``run`` is ``None`` until the cluster is formed."""
        if (refusal := self._refusal(offer, run)) is not None:
            return refusal
        self._hosts[offer.name] = _Host(offer)
        self.heard(offer.name, now_s)
        return None

    def _refusal(self, offer: Offer, run: RunFacts | None) -> Refusal | None:
        if not NAME.fullmatch(offer.name):
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
        if (taken := self._hosts.get(offer.name)) is not None:
            return Refusal(
                f"the name {offer.name} is taken by host {taken.offer.host}",
                "give another name with --name, or end that one first",
            )
        if run is not None and not self.knows(offer.name):
            why = self._why_not(offer.name, offer.together, run)
            return Refusal(why, "see docs/hosts.md") if why else None
        return None

    def _why_not(self, worker: WorkerName, together: int, run: RunFacts) -> str:
        """Return why a new name cannot join; empty if it can."""
        if worker in run.members:
            return f"{worker} is a worker of the initializer's own host"
        return self._joining.refusal(together)

    def prepared(self, worker: WorkerName, frame: Prepared) -> bool:
        """Note that a worker can be started on this host; return whether its name is new."""
        self._hosts[worker].prepared = frame
        is_new = not self.knows(worker)
        self._names[worker] = None
        return is_new

    # Joining and leaving a cluster that has been formed

    def arrived(self, worker: WorkerName, run: RunFacts) -> Refusal | Join | JoinWaits:
        """Return what to do with a new host, which has to join the cluster."""
        host = self._hosts.get(worker)
        together = 1 if host is None else host.offer.together
        # The cluster may have changed since the offer.
        if why := self._why_not(worker, together, run):
            return Refusal(why, "")
        if host is not None and host.prepared is not None:
            written = host.prepared.records_epoch
            if written > run.epoch:
                return _unread_journals(written, run.epoch)
        if complete := self._joining.arrived(worker, together):
            return Join(complete)
        here = self._joining.waiting
        return JoinWaits(here, together - len(here))

    def leaving(self, worker: WorkerName, run: RunFacts) -> Leave:
        """Return what has to happen before the host of this worker can leave."""
        if worker not in run.members:
            return Leave.NOTHING
        return Leave.STOP if len(run.members) == 1 else Leave.RESIZE

    def forget(self, worker: WorkerName) -> None:
        """Release host and name of a worker that left the cluster or could not join it."""
        self._names.pop(worker, None)
        self._joining.disconnected(worker)
        if self._hosts.pop(worker, None) is not None:
            self._liveness.disconnected(worker)

    def forget_hosts(self) -> None:
        """Forget all hosts at the end of the run. Their names stay known."""
        for worker in self._hosts:
            self._liveness.disconnected(worker)
        self._hosts.clear()

    # Silence, loss and absence

    def heard(self, worker: WorkerName, now_s: float) -> None:
        """Note that the agent of this worker is alive."""
        self._liveness.heard(worker, Epoch(0), now_s)

    def silent(self, now_s: float) -> list[tuple[WorkerName, float]]:
        """Return each host that has been silent for too long, and for how long; once each."""
        silent = [(worker, silent_s) for worker, _, silent_s in self._liveness.silent(now_s)]
        for worker, _ in silent:
            self._hosts[worker].is_silent = True
        return silent

    def lost(self, worker: WorkerName, now_s: float, *, has_process: bool) -> None:
        """Note the end of a host's connection; ``has_process``: it was told to start a worker."""
        host = self._hosts.pop(worker)
        self._liveness.disconnected(worker)
        if worker in self._joining.waiting:
            # It had not joined yet, so no worker waits for another host of this name.
            self._joining.disconnected(worker)
            del self._names[worker]
        elif self.knows(worker):
            # Otherwise it was lost before it was prepared, and the next to offer is new.
            self._names[worker] = now_s
        if has_process:
            # If only the agent's own frames are lost, it continues until it notices that the
            # connection has ended, or until our heartbeats are missing too.
            silence_s = self.rules.silence_s + 2 * BEAT_S
            unseen_s = silence_s if host.is_silent else ORPHAN_LIVES_S
            self._leftovers[worker] = (host.offer.instance, now_s + unseen_s)

    def leftover_s(self, worker: WorkerName, now_s: float) -> float:
        """Return for how long the next process of this worker must not be started.

        So long an earlier process may still run on a host that was lost. Each loss is answered
        once.
        """
        instance, ends_s = self._leftovers.pop(worker, ("", 0.0))
        if instance == self._hosts[worker].offer.instance:
            return 0.0
        return max(ends_s - now_s, 0.0)

    # Presence

    def is_present(self, worker: WorkerName) -> bool:
        """Return whether a worker can be started on its host now."""
        host = self._hosts.get(worker)
        return host is not None and host.prepared is not None

    def absent_until_s(self, worker: WorkerName, now_s: float) -> float:
        """Return the time until which a worker waits for a host with its name."""
        absent_s = self._names.get(worker)
        return (now_s if absent_s is None else absent_s) + self.rules.absence_s

    def awaited(self, count: int, names: Collection[str]) -> Awaited:
        """Return which of ``count`` expected hosts are present; only ``names`` count, if any."""
        here = [
            worker
            for worker in self._hosts
            if self.is_present(worker) and (not names or worker in names)
        ]
        return Awaited(here[:count], max(count - len(here), 0))


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
