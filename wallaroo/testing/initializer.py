"""The simulated initializer: the real ``RunDriver`` and ``ManifestWriter`` over simulated ports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from wallaroo.coordinator.cluster_state import Phase
from wallaroo.coordinator.events import (
    Announce,
    DrainRequested,
    Effect,
    Event,
    MembersChanged,
    StopRequested,
)
from wallaroo.coordinator.manifest_writer import ManifestWriter, Rules, StartingPoint
from wallaroo.coordinator.membership import RunRules, starting_membership
from wallaroo.coordinator.resize_requests import ResizeOutcome
from wallaroo.coordinator.run_driver import RunDriver
from wallaroo.coordinator.run_outcome import FailureWatch
from wallaroo.coordinator.run_requests import may_matter
from wallaroo.coordinator.worker_names import first_names, next_names
from wallaroo.errors import WallarooError
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.tally import Counts
from wallaroo.metrics.totals import sums
from wallaroo.names import WorkerName
from wallaroo.testing.deletions import Deletions, SimulatedRequests
from wallaroo.testing.loop import Process
from wallaroo.testing.lost_disks import LostDisks
from wallaroo.testing.oracle import States
from wallaroo.testing.place import NOTICE_S, place_of
from wallaroo.testing.process_ports import ProcessPorts
from wallaroo.testing.processes import SimulatedProcesses
from wallaroo.testing.store import SimulatedStore
from wallaroo.testing.worker import World

RESTARTS_MAX = 100
"""A simulation has more crashes in a minute than a real run would go on with."""


@dataclass(slots=True)
class Run:
    """One run of the command, from its user's view."""

    is_ended: bool = False
    error: WallarooError | None = None


class SimulatedInitializer(ProcessPorts):
    """One run of the command."""

    def __init__(
        self, world: World, process: Process, worker_count: int, interval_s: float, rules: Rules
    ) -> None:
        super().__init__(process, SimulatedProcesses(world, process, lambda: self._driver))
        self._world = world
        self._rules = RunRules(
            restarts_max=RESTARTS_MAX,
            checkpoint_interval_s=interval_s,
            may_lose_input=rules.allow_lost_input,
        )
        self._lost_disks = LostDisks(
            world.disk, world.hall, rules, lambda: self._checkpoints.latest
        )
        self.run = Run()
        self._workers = first_names(worker_count)
        self._store = SimulatedStore(process, world.objects, world.chaos)
        self._paths = {
            index: sink.path for index, sink in enumerate(world.plan.sinks) if sink.path is not None
        }
        self._checkpoints = ManifestWriter(
            rules,
            place_of(
                process,
                world.disk,
                self._paths,
                self._store,
                self._tell,
                self._lost_disks.announced,
            ),
            world.plan,
            self._workers,
        )
        self._requests: SimulatedRequests | None = None
        self._driver: RunDriver | None = None
        """``None`` until the checkpoints have begun."""
        nodes = Nodes(world.plan).by_pipeline
        self._failures = FailureWatch(RunCounts(nodes, is_durable=world.is_durable))
        self._names = self._workers
        """Of all workers of this run so far, whatever has become of them."""
        self._last_phase: Phase | None = None
        process.on_end.append(self._crashed)
        process.start(self._begin())

    async def _begin(self) -> None:
        if not self._world.is_durable:
            self._drive(None)
            return
        try:
            beginning = await self._checkpoints.begin()
        except WallarooError as error:
            self.ended(error)
            return
        for path in self._paths.values():
            self._world.disk.discard_output(path)
        self._lost_disks.begin(beginning)
        self._drive(beginning)

    def _drive(self, beginning: StartingPoint | None) -> None:
        plan = self._world.plan
        addresses = [""] * len(plan.pipelines)
        self._driver = RunDriver(
            self,
            starting_membership(plan, self._workers, addresses, beginning, self._rules),
            self._failures,
            self._rules,
            None if beginning is None else self._checkpoints,
            checks_itself=True,
        )
        self._requests = SimulatedRequests(
            self._driver, self._processes.delete, is_durable=self._world.is_durable
        )
        self._driver.start()

    # What somebody asks for

    def stop(self) -> None:
        """Ask the command to stop in order."""
        self._ask(lambda driver: driver.on_event(StopRequested()))

    def drain(self) -> None:
        """Ask for everything to be finished; the processes are to stay."""
        self._tell("drain", {})
        self._ask(lambda driver: driver.on_event(DrainRequested()))

    def resize(self, joining_count: int, leaving: Sequence[WorkerName]) -> None:
        """Ask for more workers, fewer, or others."""
        added = self._names_to_join(joining_count)
        self._names += tuple(name for name in added if name not in self._names)
        self._tell("resize", {"added": added, "leaving": tuple(leaving)})
        answered = partial(self._answered, added, leaving)
        # A name that left may have to wait; a request for new names is refused meanwhile.
        in_turn = self._world.chaos.names_return and not self.is_resizing
        self._ask(lambda driver: driver.resize(added, leaving, answered, in_turn=in_turn))

    def _names_to_join(self, count: int) -> tuple[WorkerName, ...]:
        """Return new names, or if names come back, those that left first."""
        left = [name for name in self._names if name not in self.workers]
        returning = tuple(left[:count]) if self._world.chaos.names_return else ()
        if returning:
            self._world.chaos.injected["names that return"] += len(returning)
        return (*returning, *next_names(self._names, count - len(returning)))

    def delete(self, deletions: Deletions) -> None:
        """Ask for the deletion of a key, if there is one that has no records to come."""
        requests = self._requests
        chosen = deletions.choose(self._held_states(), self.process.loop.random)
        if requests is not None and chosen is not None:
            state, key = chosen
            work = requests.delete(state, key, deletions, self._tell)
            self.process.run(lambda: self.process.start(work))

    def _held_states(self) -> States:
        """Return what living workers hold now; some may be about to go back."""
        states: States = {}
        for worker in self._processes.workers(self.workers):
            if worker.process.is_alive:
                for name, held in worker.machine.dataflow.states.items():
                    states.setdefault(name, {}).update(held)
        return states

    def _ask(self, ask: Callable[[RunDriver], None]) -> None:
        driver = self._driver
        if driver is not None:
            self.process.run(lambda: ask(driver))

    def _answered(
        self, added: Sequence[WorkerName], leaving: Sequence[WorkerName], outcome: ResizeOutcome
    ) -> None:
        answer = outcome.answer
        for worker in leaving if answer.ok else added:
            if worker not in self.workers:
                self._processes.left(worker)
        self._tell("answer", {"ok": answer.ok, "text": answer.text})
        done = "done" if answer.ok else "refused or called off"
        self._world.chaos.injected[f"  {done}"] += 1

    @property
    def has_lost_input(self) -> bool:
        """Whether a journal was missing that is needed."""
        return self._lost_disks.has_lost_input

    @property
    def is_resizing(self) -> bool:
        """Whether a request for other workers is under way."""
        return self._driver is not None and self._driver.is_resizing

    @property
    def workers(self) -> tuple[WorkerName, ...]:
        """The present members."""
        return () if self._driver is None else self._driver.workers

    @property
    def phase(self) -> Phase | None:
        """Where the cluster is; ``None`` until its checkpoints have begun."""
        return None if self._driver is None else self._driver.coordinator.phase

    # As ports of the run

    def announce(self, line: Announce) -> None:
        """Add a line to the story of the simulation."""
        self._tell(line.event, line.values)
        self._lost_disks.announced(line)

    def decided(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Add changes of the phase to the story; crashes may follow a change of the members."""
        assert self._driver is not None
        if any(isinstance(effect, MembersChanged) for effect in effects):
            self._world.chaos.members_changed()
        if self._requests is not None and may_matter(event, effects):
            self._requests.wake()
        if self.phase is not self._last_phase:
            self._last_phase = self.phase
            self._tell("phase", {"is": self._driver.coordinator.phase.value})

    def ended(self, error: WallarooError | None) -> None:
        """End the simulated processes soon."""
        if not self.run.is_ended:
            self._tell("run ended", {"error": error.what if error else ""})
            self.run.error = error
            self._end_processes(0.5)

    # The end

    def _tell(self, event: str, values: dict[str, Any]) -> None:
        self.process.loop.tell("initializer", f"{event} {values}")

    def _crashed(self) -> None:
        # The system closes the pipes; a worker ends as soon as it sees that.
        self._end_processes(NOTICE_S)

    def _end_processes(self, within_s: float) -> None:
        self.run.is_ended = True
        self._processes.end_all(within_s)

    @property
    def has_processes(self) -> bool:
        """Whether anything of this run is left."""
        return self._processes.are_left

    def stories(self) -> dict[str, list[str]]:
        """Return the last steps of each worker's last process, by the name of the process."""
        workers = self._processes.workers(self._workers)
        return {worker.process.name: worker.machine.story for worker in workers}

    def counts(self) -> Counts:
        """Return the counts of the whole run, by node, as this process shows them."""
        return sums(self._failures.counts.totals.by_worker())

    def states(self) -> States:
        """Return what all members hold; each key is held by one."""
        states: States = {}
        for worker in self._processes.workers(self.workers):
            for name, held in worker.machine.dataflow.states.items():
                known = states.setdefault(name, {})
                assert known.keys().isdisjoint(held), f"two workers hold keys of {name!r}"
                known.update(held)
        return states

    @property
    def is_drained(self) -> bool:
        """Whether all is finished, and the processes stay."""
        return self.phase is Phase.DRAINED

    @property
    def is_running(self) -> bool:
        """Whether sources take records."""
        return self.phase is Phase.RUNNING
