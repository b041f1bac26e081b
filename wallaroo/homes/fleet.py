"""Decides which hosts a home runs, on which nodes, and which of them leave.

A **host** is a place for one worker: it runs an agent (``wallaroo-run --join``). A **node** is what
fails together; the home puts hosts on nodes.

    StartHost --> pending --placed--> running --its agent ended for good, or it is dead--> forgotten
                                         |
                                         +--its node drains, replaced--> leaving --> forgotten

The initializer says how many hosts it wants, those in reserve included. Each step compares what is
wanted with what was seen, so a step that is lost does no harm.

What can go wrong:

* A host that leaves in order must not be replaced: its worker leaves the cluster, and the
  initializer wants one host less. Until its worker has ended, the initializer counts it, so the
  fleet does too.
* A host that dies immediately after each start would be started as fast as we step. So each failure
  doubles the pause before the next start.
* The home restarts hosts itself after the loss of a node. Such a host has no node for a while and
  is not missing. If it was leaving that node, it does not leave the next one: the request to leave
  was lost with the node.
* Before a node is drained, the cluster grows by the workers on it, so that the gap is that of a
  resize and no worker is without a host. Hosts without a worker leave first: otherwise the cluster
  might grow onto one of them. If there is no time for this, all leave immediately.
* A cluster that cannot grow now, for instance because it is being resized, refuses within
  milliseconds. The next request waits, or there would be one in each step.

Times are seconds from any origin.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wallaroo.back_off import doubled_s

URGENT_S = 10.0
"""A node that ends within this time is left without waiting for replacements."""
GROW_AGAIN_S = 5.0
"""After a refusal to grow, so long it is not asked for again."""
FIRST_PAUSE_S = 0.5
PAUSE_S_MAX = 30.0
SETTLE_S = 2.0
"""After the orderly end of a host, so long nothing is started: the run may be about to end."""
FORGIVEN_AFTER_S = 60.0
"""After so long without a failure, the next one counts as the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What was seen of one host."""

    node: str = ""
    """Empty while the home looks for a node."""
    has_worker: bool = False
    status: int | None = None
    """The exit status of its agent, if that is not started again."""
    is_dead: bool = False
    """Whether the home has given it up."""

    @property
    def is_running(self) -> bool:
        """Whether it is on a node, and its agent runs or will run."""
        return bool(self.node) and self.status is None and not self.is_dead


@dataclass(frozen=True, slots=True)
class StartHost:
    """Start a host; on this node alone, unless it is empty."""

    name: str
    node: str


@dataclass(frozen=True, slots=True)
class ForgetHost:
    """Remove what is left of a host."""

    name: str


@dataclass(frozen=True, slots=True)
class WithdrawHost:
    """End the host's agent in order: its worker leaves the cluster first."""

    name: str


@dataclass(frozen=True, slots=True)
class GrowFirst:
    """Let the cluster grow by so many workers, then call ``Fleet.grown``."""

    count: int


FleetEffect = StartHost | ForgetHost | WithdrawHost | GrowFirst

_UNSEEN = HostView()


class Fleet:
    """The hosts of one run."""

    def __init__(self, count: int, *, is_strict: bool, known: Iterable[str] = ()) -> None:
        """``count`` hosts are wanted at first; ``known`` are those of an earlier manager. A larger
        number of them says that the cluster has grown. A smaller one may only say that a host was
        lost together with that manager.

        With ``is_strict`` no two hosts are on one node.
        """
        # By name: the node that was chosen for it, empty if the home chooses.
        self._hosts: dict[str, str] = dict.fromkeys(known, "")
        self._number = max((_number(name) for name in self._hosts), default=0)
        self.wanted = max(len(self._hosts), count)
        self._is_strict = is_strict
        self._leaving: dict[str, str] = {}
        """Hosts that were asked to leave, and the nodes on which they were."""
        self._moving: set[str] = set()
        """Hosts on draining nodes for whose workers the cluster grows."""
        self._grow_s = -math.inf
        """When the cluster may be asked to grow."""
        self._failures = 0
        self._failed_s = -math.inf
        self._left_s = -math.inf

    @property
    def names(self) -> list[str]:
        """The names of all hosts."""
        return [*self._hosts]

    def want(self, count: int) -> None:
        """Note how many hosts the initializer wants, those in reserve included."""
        self.wanted = count

    def grown(
        self, now_s: float, views: Mapping[str, HostView], *, is_done: bool
    ) -> list[FleetEffect]:
        """Let the hosts leave for which the cluster has grown; otherwise ask again later."""
        moved, self._moving = self._moving & self._hosts.keys(), set()
        if is_done:
            return self._withdraw(sorted(moved), views)
        self._grow_s = now_s + GROW_AGAIN_S
        return []

    def step(
        self,
        now_s: float,
        views: Mapping[str, HostView],
        nodes: Sequence[str],
        draining: Mapping[str, float],
    ) -> list[FleetEffect]:
        """Return what to do next.

        ``views`` are the hosts as they were just seen, ``nodes`` those that may run a host, and
        ``draining`` the nodes that will end, with the time.
        """
        effects: list[FleetEffect] = []
        for name in self.names:
            view = views.get(name, _UNSEEN)
            if view.is_dead or view.status is not None:
                self._forget(name)
                effects.append(ForgetHost(name))
                if view.status == 0:
                    self._left_s = now_s
                elif name not in self._leaving:
                    self._failed(now_s)
        self._leaving = {
            name: node
            for name, node in self._leaving.items()
            if name in self._hosts and not _has_moved(node, views.get(name, _UNSEEN))
        }
        effects += self._drain(now_s, views, draining)
        counted = [
            name
            for name in self.names
            if name not in self._leaving or views.get(name, _UNSEEN).has_worker
        ]
        if len(counted) > self.wanted:
            effects += self._forget_pending(len(counted) - self.wanted, views)
        elif now_s >= self._next_start_s():
            free = [node for node in nodes if node not in draining]
            effects += self._start(self.wanted - len(counted), free, views)
        return effects

    # Starts

    def _start(
        self, count: int, nodes: Sequence[str], views: Mapping[str, HostView]
    ) -> list[FleetEffect]:
        used = {node or views.get(name, _UNSEEN).node for name, node in self._hosts.items()}
        free = [node for node in nodes if node not in used]
        chosen = free[:count] if self._is_strict else [""] * count
        effects: list[FleetEffect] = []
        for node in chosen:
            self._number += 1
            name = f"h{self._number}"
            self._hosts[name] = node
            effects.append(StartHost(name, node))
        return effects

    def _failed(self, now_s: float) -> None:
        is_new = now_s - self._failed_s > FORGIVEN_AFTER_S
        self._failures = 1 if is_new else self._failures + 1
        self._failed_s = now_s

    def _next_start_s(self) -> float:
        settled_s = self._left_s + SETTLE_S
        return max(settled_s, self._failed_s + pause_s(self._failures))

    # Ends

    def _forget(self, name: str) -> None:
        del self._hosts[name]
        self._moving.discard(name)

    def _forget_pending(self, count: int, views: Mapping[str, HostView]) -> list[FleetEffect]:
        """Give up hosts that wait for a node: fewer are wanted now."""
        pending = [name for name in self.names if not views.get(name, _UNSEEN).node]
        chosen = pending[-count:]
        for name in chosen:
            self._forget(name)
        return [ForgetHost(name) for name in chosen]

    def _withdraw(self, names: Sequence[str], views: Mapping[str, HostView]) -> list[FleetEffect]:
        self._leaving |= {name: views.get(name, _UNSEEN).node for name in names}
        return [WithdrawHost(name) for name in names]

    def _drain(
        self, now_s: float, views: Mapping[str, HostView], draining: Mapping[str, float]
    ) -> list[FleetEffect]:
        immediately: list[str] = []
        replaced: list[str] = []
        for name in self.names:
            view = views.get(name, _UNSEEN)
            if name in self._leaving or view.node not in draining:
                continue
            is_urgent = draining[view.node] - now_s < URGENT_S
            (immediately if is_urgent or not view.has_worker else replaced).append(name)
        self._moving -= set(immediately)
        effects = self._withdraw(immediately, views)
        if replaced and not self._moving and now_s >= self._grow_s:
            self._moving = set(replaced)
            effects.append(GrowFirst(len(replaced)))
        return effects


def _has_moved(node: str, view: HostView) -> bool:
    """Return whether the home has started a host again since it was on this node."""
    return view.is_running and view.node != node


def pause_s(failures: int) -> float:
    """Return the pause after so many failures in a row."""
    return doubled_s(failures, FIRST_PAUSE_S, PAUSE_S_MAX)


def _number(name: str) -> int:
    digits = name.removeprefix("h")
    return int(digits) if digits.isdecimal() else 0
