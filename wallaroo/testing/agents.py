"""The simulated agents of one run: hosts that can be lost while the worker on them still runs.

The real ``Pool`` decides which agent runs which worker. A host is lost at once, or in silence: then
nothing of it reaches the initializer any more, and the worker continues until its agent has heard
nothing for too long. In both cases another agent that stands by gets the name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wallaroo.coordinator.events import StartWorker
from wallaroo.coordinator.pool import Pool, PoolAgent
from wallaroo.names import Epoch, WorkerName
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process

AGENTS = 8
ZONES = 3
START_S = 0.3
BEAT_S = 0.1
SILENCE_S = 0.5
ORPHAN_LIVES_S = 0.3
LOST_WITHIN_S = 3.0
ARRIVES_WITHIN_S = 2.0
LOSES = 0.3
"""How often a host on which a worker is started is lost later."""
SAME_AGENT = 0.5
"""How often a lost agent connects again, instead of another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPorts:
    """What agents ask of the simulation."""

    run: Callable[[StartWorker], None]
    """Run a worker's process."""
    cut: Callable[[StartWorker, float], None]
    """Let nothing of this process reach the initializer; end it within so many seconds."""
    lost: Callable[[StartWorker], None]
    """Report to the run that the process of this order was lost with its host."""
    runs: Callable[[WorkerName], bool]
    """Return whether a process of this worker runs anywhere, seen or not."""
    newest_journals: Callable[[], Mapping[WorkerName, Epoch]]
    """Return the newest journal of each worker, on the disk that all hosts share."""


class SimulatedAgents:
    """All agents of one run, seen from its initializer."""

    def __init__(self, process: Process, chaos: Chaos, ports: HostPorts) -> None:
        """``process`` is the initializer's."""
        self._process = process
        self._chaos = chaos
        self._ports = ports
        self._pool = Pool()
        self._count = 0
        self._waiting: dict[WorkerName, StartWorker] = {}
        """The workers that wait for an agent, each with its order."""
        self._running: dict[WorkerName, StartWorker] = {}
        """The last order that was given to an agent, by worker."""
        self._cut: set[str] = set()
        """Agents that are lost, which the initializer does not know yet."""
        self._leaving: set[WorkerName] = set()
        """Workers that have left and whose agent is cut off."""
        for _ in range(AGENTS):
            self._new_agent()

    def _new_agent(self, instance: str = "") -> None:
        if not instance:
            self._count += 1
            instance = f"agent{self._count}"
        zone = f"zone{self._chaos.random.randrange(ZONES)}"
        newest = self._ports.newest_journals()
        self._pool.arrived(PoolAgent(instance=instance, zone=zone, newest=newest))
        self._give()

    # Orders of the run

    def launch(self, order: StartWorker) -> None:
        """Start a process, once there is an agent for its worker."""
        self._waiting[order.worker] = order
        self._pool.want([order.worker], self._now_s)
        self._give()

    def left(self, worker: WorkerName) -> None:
        """Dismiss the agent of a worker that has left and ended; another may arrive."""
        holder = self._pool.holder(worker)
        if holder in self._cut:
            self._leaving.add(worker)
        elif holder is not None:
            self._pool.left(holder)
            self._arrives_later("")
        else:
            self._pool.release(worker)

    @property
    def _now_s(self) -> float:
        return self._process.loop.now_s

    def _give(self) -> None:
        now_s = self._now_s
        for each in self._pool.assignments(now_s):
            assert not self._ports.runs(each.name), f"{each.instance} gets {each.name}, which runs"
            self._process.loop.tell("initializer", f"{each.instance} runs {each.name}")
        self._pool.check()
        for worker, order in list(self._waiting.items()):
            if (holder := self._pool.holder(worker)) is not None:
                del self._waiting[worker]
                self._running[worker] = order
                self._start(holder, order)
        ends_s = self._pool.lease_ends_s()
        if ends_s is not None:
            self._process.call_later(ends_s - now_s, self._give)

    def _start(self, instance: str, order: StartWorker) -> None:
        random = self._chaos.random

        def start() -> None:
            if self._pool.holder(order.worker) == instance and instance not in self._cut:
                self._ports.run(order)

        self._process.call_later(random.random() * START_S, start)
        if self._chaos.take("hosts_lost", LOSES):
            delay_s = random.random() * LOST_WITHIN_S
            self._process.call_later(delay_s, lambda: self._lose(instance, order))

    # Losses

    def _lose(self, instance: str, order: StartWorker) -> None:
        if self._pool.holder(order.worker) != instance or instance in self._cut:
            return
        random = self._chaos.random
        is_silent = random.random() < 0.5
        self._chaos.injected["  in silence" if is_silent else "  at once"] += 1
        noticed_s = SILENCE_S if is_silent else 0.0
        # The other direction may work until the initializer breaks the connection.
        lives_s = SILENCE_S + BEAT_S if is_silent else ORPHAN_LIVES_S
        unseen_s = SILENCE_S + 2 * BEAT_S if is_silent else ORPHAN_LIVES_S
        self._cut.add(instance)
        self._process.loop.tell(instance, "lost in silence" if is_silent else "lost")
        lives_s = random.random() * (noticed_s + lives_s)
        self._ports.cut(self._running[order.worker], lives_s)
        self._process.call_later(
            noticed_s, lambda: self._lost(instance, order.worker, unseen_s, lives_s)
        )

    def _lost(self, instance: str, worker: WorkerName, unseen_s: float, lives_s: float) -> None:
        self._cut.discard(instance)
        self._pool.lost(instance, self._now_s, unseen_s)
        if worker in self._leaving:
            self._leaving.discard(worker)
            self._pool.release(worker)
        self._ports.lost(self._running[worker])
        # The same agent may connect again; it has ended its worker by then.
        is_same = self._chaos.random.random() < SAME_AGENT
        self._arrives_later(instance if is_same else "", lives_s)

    def _arrives_later(self, instance: str, not_before_s: float = 0.0) -> None:
        delay_s = not_before_s + self._chaos.random.random() * ARRIVES_WITHIN_S
        self._process.call_later(delay_s, lambda: self._new_agent(instance))
