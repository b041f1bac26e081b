"""The faults of a simulated run; its random numbers decide how many there are, when and where."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, Protocol

from wallaroo.testing.loop import Loop, Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The highest number of faults of each kind in one run; the seed decides the actual number."""

    worker_crashes: int = 4
    """A worker process ends at any step, often while others are still recovering."""
    crashes_together: int = 2
    """Several workers end at the same moment."""
    initializer_crashes: int = 2
    """The initializer ends, all workers end with it, and the same command is run again."""
    machine_crashes: int = 1
    """All processes end, and what the system has not written to the disk yet is lost."""
    disks_lost: int = 2
    """A worker's host is lost: its process ends, and its journals are lost, too. The run ends with
    an error, the command is run again with ``--allow-lost-input``, and senders send the lost
    records again."""
    hosts_lost: int = 2
    """Workers run on the hosts of agents, and such a host is lost: at once, or it is only not heard
    any more while its worker continues for a while. Another host takes its place."""
    names_return: bool = True
    """Workers that join a running cluster may have the names of some that left it."""
    orderly_stops: int = 1
    """The cluster is stopped in order in the middle of the input, and run again."""
    drains: int = 2
    """The sources are closed, everything is processed, and the processes wait until they are
    stopped: in the middle of the input if checkpoints are on, or at its end."""
    returns: int = 2
    """The command is run again from an older retained checkpoint."""
    lost_control_links: int = 1
    """A worker and the initializer lose their connection while both are alive."""
    broken_links: int = 5
    """A connection between two workers breaks, perhaps within a frame, and is restored."""
    broken_sinks: int = 3
    """The receiver of a stream closes; what it has not acknowledged is written again."""
    failed_writes: int = 6
    """The store refuses a write, or loses the answer to it, or leaves it torn."""
    failed_journal_writes: int = 2
    """The disk refuses to write what a source has read."""
    failed_journal_cuts: int = 3
    """The disk refuses to delete a journal that no checkpoint needs."""
    failed_hand_overs: int = 3
    """A worker refuses connections of a departing one, or its answer is lost."""
    targets_away: int = 3
    """The target of a sink that is exactly once does not answer for some seconds."""
    lost_answers: int = 6
    """Such a target has written a batch, and the worker gets no answer."""
    zombie_writes: int = 6
    """A write to such a target arrives seconds later, perhaps after its process has ended."""
    other_stores: int = 2
    """Between two runs, a run with another store of checkpoints writes to such targets."""
    deletions: int = 0
    """A key whose records are all processed is deleted by ``wallaroo-cluster delete``. It is then
    not among the final states, so there are none unless a test asks for them."""
    resizes_while_running: int = 5
    """Workers join or leave, or both, while records flow."""
    failed_positions: int = 4
    """A source that is read by partition cannot say where it is: the checkpoint or the resize for
    which it was asked fails."""
    partitions_added: int = 3
    """A source that is read by partition has more partitions while the cluster runs."""
    late_discoveries: bool = True
    """A source is slow to say which partitions it has, and then does not name all of them."""
    failed_calls: int = 6
    """A call of a step that retries has no answer: it raises an error after which the step tries
    again. It happens only if enough retries and time are left."""
    late_answers: int = 0
    """A call takes longer than the ``timeout`` of its step, if that has ``on_timeout``. None are
    late by default: the plain run has no late calls, so results have to be the same without an
    answer."""
    visits: int = 2
    """Workers join while records flow, and the same ones leave soon, so that keys come back to
    workers that held them before."""
    late_messages: bool = True
    """Control messages are sometimes late; links overtake each other."""
    late_batches: bool = True
    """Links between workers are sometimes late: one stalls while others continue."""
    slow_sinks: bool = True
    """A sink takes a second instead of some milliseconds, or is slow from its start."""
    resizes: bool = True
    """The command is run again with another number of workers."""


ALL_FAULTS = Faults()
_NOTHING: dict[str, Any] = {
    field.name: type(getattr(ALL_FAULTS, field.name))() for field in fields(Faults)
}
NO_FAULTS = Faults(**_NOTHING)


def without_losses(faults: Faults) -> Faults:
    """Return the faults that can be recovered from without checkpoints."""
    return replace(
        faults,
        worker_crashes=0,
        crashes_together=0,
        initializer_crashes=0,
        machine_crashes=0,
        disks_lost=0,
        hosts_lost=0,
        orderly_stops=0,
        returns=0,
        targets_away=0,
        lost_answers=0,
        zombie_writes=0,
        other_stores=0,
        lost_control_links=0,
        failed_writes=0,
        failed_journal_writes=0,
        failed_journal_cuts=0,
        resizes=False,
    )


ROUGHNESS = (0.0, 0.1, 0.3, 1.0, 2.0)
"""Factors for the number of delays: some runs are smooth, and get far between two crashes."""

NAMES_RETURN = 0.4
"""In how many runs names of workers come back."""

LOST_DISK = "lost disk"

OF_CALLS = ("failed_calls", "late_answers")
OF_TARGETS = ("targets_away", "lost_answers", "zombie_writes", "other_stores")
DRAWN_APART = (
    "disks_lost",
    "hosts_lost",
    "partitions_added",
    "failed_positions",
    "deletions",
    *OF_TARGETS,
    *OF_CALLS,
)
"""Kinds of faults whose numbers follow from those of the others."""

STEPS_BETWEEN_MAX = 1200
"""Most events between two crashes; a run with little input has a few thousand."""

AFTER_A_RESIZE = 0.7
STEPS_AFTER_A_RESIZE_MAX = 300
"""How often, and how soon, a later crash is moved to just after a resize. Between the commit of the
new members and their first checkpoint a recovery has the most to put together."""

PLACES = (
    "Barriers._compact",
    "Barriers._drain",
    "Barriers._store",
    "Lifecycle._go_back",
    "Lifecycle._open",
    "Lifecycle._report_ready",
    "Lifecycle.join",
    "RunDriver._write_manifest",
    "SimulatedInitializer._begin",
    "WorkerResize._empty",
    "WorkerResize._gather",
    "WorkerResize._give",
    "WorkerResize._resume_sources",
    "WorkerResize._leave",
    "append to journal",
    "begin journal",
    "commit output",
    "create manifest",
    "cut journal",
    "write part",
)
"""Places at which crashes happen on purpose, because random steps seldom hit them."""


@dataclass(slots=True)
class _Crash:
    """A planned crash."""

    kind: str
    steps: int
    """Number of steps, of any process, before it."""
    place: str
    """The place at which it happens after these; empty for any place."""
    patience: int = 400
    """Steps after which it happens at any place."""


class Machine(Protocol):
    """The machine on which the processes of a run live."""

    def crash_machine(self) -> None:
        """End all processes, and lose what is not durable."""
        ...

    def lose_disk(self, worker: str) -> None:
        """Drop the journals of a worker."""
        ...


class Chaos:
    """Draws the faults of one run and counts those that were injected."""

    def __init__(
        self, faults: Faults, random: Random, loop: Loop, machine: Machine | None = None
    ) -> None:
        """``machine`` is needed only if ``faults`` include crashes."""
        self._machine = machine
        self.faults = faults
        self.injected: Counter[str] = Counter()
        self.random = random
        self._loop = loop
        self._left = {
            field.name: random.randint(0, value)
            for field in fields(faults)
            if not isinstance(value := getattr(faults, field.name), bool)
            and field.name not in DRAWN_APART
        }
        # These are drawn from the numbers above: a run that meets none is the same run as one that
        # may not meet any. Lost disks are rare.
        apart = Random(str(self._left))
        self._left["disks_lost"] = max(apart.randint(-3, faults.disks_lost), 0)
        self._partitions_added = apart.randint(0, faults.partitions_added)
        for name in OF_TARGETS:
            self._left[name] = apart.randint(0, getattr(faults, name))
        self._left["failed_positions"] = apart.randint(0, faults.failed_positions)
        for name in OF_CALLS:
            self._left[name] = apart.randint(0, getattr(faults, name))
        self._left["deletions"] = apart.randint(0, faults.deletions)
        self._left["hosts_lost"] = max(apart.randint(-3, faults.hosts_lost), 0)
        self.has_agents = self._left["hosts_lost"] > 0
        """Whether workers run on the hosts of agents."""
        self.names_return = faults.names_return and apart.random() < NAMES_RETURN
        """Whether workers that join may have the names of some that left."""
        self.is_over = False
        self._roughness = random.choice(ROUGHNESS)
        self._crashes = self._plan()
        self.workers: dict[str, Process] = {}
        """The living processes of workers, by name."""
        self._initializer: Process | None = None

    def _plan(self) -> list[_Crash]:
        random = self.random
        kinds = [
            kind
            for kind, name in (
                ("worker crash", "worker_crashes"),
                ("crash of several workers", "crashes_together"),
                ("initializer crash", "initializer_crashes"),
                ("machine crash", "machine_crashes"),
                (LOST_DISK, "disks_lost"),
            )
            for _ in range(self._left[name])
        ]
        random.shuffle(kinds)
        crashes = []
        for kind in kinds:
            # Some happen soon after the previous one, so that they meet its recovery.
            is_soon = random.random() < 0.4
            steps = random.randint(0, 80 if is_soon else STEPS_BETWEEN_MAX)
            place = random.choice(PLACES) if random.random() < 0.5 else ""
            crashes.append(_Crash(kind, steps, place))
        return crashes

    def initializer_started(self, process: Process) -> None:
        """Note the initializer's process; none of its workers lives yet."""
        self._initializer = process
        self.workers.clear()

    def take(self, name: str, probability: float) -> bool:
        """Return whether a fault of this kind happens now, and count it."""
        if self.is_over or not self._left[name] or self.random.random() >= probability:
            return False
        self._left[name] -= 1
        self.injected[name.replace("_", " ")] += 1
        return True

    def happens(self, name: str, probability: float) -> bool:
        """Return whether something happens now that ``faults`` allows any number of times."""
        probability *= self._roughness
        if self.is_over or not getattr(self.faults, name) or self.random.random() >= probability:
            return False
        self.injected[name.replace("_", " ")] += 1
        return True

    def partitions_added(self) -> int:
        """Return how many partitions a source may get while the cluster runs."""
        if self._partitions_added:
            self.injected["partitions added"] += self._partitions_added
        return self._partitions_added

    # Crashes

    def members_changed(self) -> None:
        """A resize was committed: the next crash may come soon."""
        if self._crashes and self.random.random() < AFTER_A_RESIZE:
            crash = self._crashes[0]
            crash.steps = min(crash.steps, self.random.randint(0, STEPS_AFTER_A_RESIZE_MAX))
            crash.place = ""

    def reached(self, process: Process, place: str) -> bool:
        """Return whether the process ends at this place."""
        if self.is_over or not self._crashes:
            return False
        crash = self._crashes[0]
        if crash.steps > 0:
            crash.steps -= 1
            return False
        if crash.place and crash.place != place:
            crash.patience -= 1
            if crash.patience > 0:
                return False
        victims = self._victims(crash.kind, process)
        if not victims:
            return False
        self._crashes.pop(0)
        self.injected[crash.kind] += 1
        if crash.place == place:
            self.injected[f"  at {place}"] += 1
        self._loop.tell(process.name, f"{crash.kind} at {place}")
        assert self._machine is not None, "without a machine nothing crashes"
        self._crash(self._machine, crash.kind, [each for each in victims if each is not process])
        if crash.kind == LOST_DISK:
            for name in [name for name, worker in self.workers.items() if worker in victims]:
                self._machine.lose_disk(name)
        return process in victims

    def _crash(self, machine: Machine, kind: str, others: list[Process]) -> None:
        if kind == "machine crash":
            machine.crash_machine()
        for each in others:
            each.end("crashed")

    def _victims(self, kind: str, process: Process) -> list[Process]:
        """Return the processes that end when ``process`` reaches the place of a crash."""
        workers = [each for each in self.workers.values() if each.is_alive]
        match kind:
            case "machine crash":
                return [process]
            case "initializer crash":
                return [self._initializer] if self._initializer is not None else []
            case "worker crash" | "lost disk":
                return [process] if process in workers else self._some(workers, 1)
            case _:
                return self._some(workers, self.random.randint(2, max(2, len(workers))))

    def _some(self, workers: list[Process], count: int) -> list[Process]:
        return self.random.sample(workers, min(count, len(workers)))
