"""Runs an application on a simulated cluster that meets faults, and checks the result."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from wallaroo.checkpoint.pickling import ImportedClasses
from wallaroo.checkpoint.split_positions import merged, split_values
from wallaroo.connectors.base import Assignment, Promise
from wallaroo.coordinator.manifest_writer import Rules
from wallaroo.coordinator.worker_names import first_names
from wallaroo.errors import ClusterError, FencedError, StoreError
from wallaroo.metrics.tally import Counts
from wallaroo.names import WorkerName
from wallaroo.operators.failures import Failure
from wallaroo.testing.checked_input import checked_input, refuse_arguments
from wallaroo.testing.cuts import Cuts
from wallaroo.testing.cutting import CutOutput, Cutter
from wallaroo.testing.deletions import Deletions
from wallaroo.testing.disk import Disk
from wallaroo.testing.faults import ALL_FAULTS, Chaos, Faults, without_losses
from wallaroo.testing.initializer import SimulatedInitializer
from wallaroo.testing.logs import SimulatedLog, positions_in
from wallaroo.testing.loop import Loop, Process
from wallaroo.testing.network import Network
from wallaroo.testing.oracle import (
    DIFFERENCES_SHOWN_MAX,
    Expected,
    States,
    committed_line,
    count_differences,
    counts_in,
    failure_mistakes,
    kept_checkpoints,
    manifest_of,
    newest_manifest,
    output_differences,
    same,
    stream_output,
    with_few_partitions,
)
from wallaroo.testing.place import NOTICE_S
from wallaroo.testing.placed import placed_records
from wallaroo.testing.prepared_targets import PreparedTargets, two_phase_output, uncalled_for
from wallaroo.testing.pushed import Broker
from wallaroo.testing.restored import RevivedKeys, final_states, open_windows
from wallaroo.testing.senders import (
    Origin,
    Sender,
    SendersHall,
    accepted_payloads,
    payloads_sent_again,
)
from wallaroo.testing.store import Objects
from wallaroo.testing.streams import Receivers, rows_received
from wallaroo.testing.targets import Targets, once_output, unnamed_batches
from wallaroo.testing.worker import Sizes, World
from wallaroo.topology.plan import Application

STORY_STEPS = 200
STEPS_MAX = 400_000
RUNS_MAX = 60
WORKERS_MAX = 5
LOOK_S = 0.05
AGAIN_S = 0.5
DROPS = 0.03
"""How often a log drops the records that no checkpoint needs, when it is looked at."""
INTERVALS_MAX_S = (0.3, 0.3, 3.0)
"""The longest time between two checkpoints: if it is long, a recovery has much to replay."""

LAST_IN_FIRST_OUT = 0.4
"""How often the workers that joined last are the ones that leave."""
REFUSED = 0.1
"""How often all workers may be asked to leave while none joins, which is refused."""
CheckOutput = Callable[[Mapping[int, list[Any]]], Iterable[str]]
PASSING = (ClusterError, FencedError, StoreError)
"""Errors of a run after which the same command is to be run again."""


class SimulationError(Exception):
    """A run did not come to what it must; the text has seed, differences and the last steps."""


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a run that went right has come to."""

    states: States
    """The final states, by name and key."""
    output: dict[int, list[Any]]
    """What each sink got, by its number in the plan: committed, if the sink is a file or exactly
    once. Results of a sink of an author are as the encoder returned them, for one that is exactly
    once in the order in which they became visible."""
    failures: tuple[Failure, ...]
    """Records that user code could not process, with ``step``, ``key``, ``error`` and ``payload``.

    Each once, as in a plain run: a recovery processes a record again, and it fails again.
    """
    arrivals: dict[int, list[tuple[int, bytes]]]
    """For each sink that is a stream: number of a connection and a piece that it brought.

    In the order in which the pieces arrived over all connections of the sink.
    """
    accepted: list[list[bytes]]
    """For each connection that a sender ever had, the payloads that were accepted over it."""
    sent_again: frozenset[bytes]
    """Payloads that were lost with a disk. Results of them may have arrived before."""
    injected: Counter[str]
    """Faults by kind."""
    story: list[str]
    """The last steps."""
    fingerprint: int
    """Of all steps: the same seed gives the same."""
    step_count: int


def simulate(  # noqa: PLR0913  each can be left out
    application: Application,
    input: Mapping[str, Sequence[Any]],
    *,
    seed: int,
    workers: int = 3,
    durable: bool = True,
    faults: Faults = ALL_FAULTS,
    view_state: Callable[[Any], Any] = same,
    view_output: Callable[[Any], Any] = same,
    cut_output: CutOutput = "lines",
    expect_failures: bool | int = False,
    check_output: CheckOutput | None = None,
    replay_command: str = "",
    objects: Objects | None = None,
) -> SimulationResult:
    """Run ``application`` on ``workers`` simulated workers, and check the result.

    All that decides is the code of a real cluster; what surrounds it is simulated, and meets
    ``faults`` drawn from ``seed``: the same seed gives the same run. When all input is accepted it
    is stopped in order, and compared with a plain run in one process: final states by key; records
    of output at least once, in files exactly once. ``durable=False``: no checkpoints, no losses.

    ``application`` is what ``application_setup`` returns. ``input`` has, by the name of the
    pipeline, what comes to its source: for TCP a list of senders, each a list of payloads without
    headers; for a file, and for a source that is pushed, its payloads; for a source with partitions
    a dict of these, each a list. Generators bring their own, and have to end. ``cut_output`` is
    ``"lines"``, ``"frames"`` (length of 4 bytes, big endian, and payload), or a function from bytes
    to the list of whole records in them. ``view_state`` and ``view_output`` leave out where the
    order of several senders shows. If output depends on when records arrive, since some may be
    late, ``check_output`` is called instead of comparing it: it gets what each sink has, by number,
    and returns the problems. A record that user code cannot process fails the run, unless
    ``expect_failures`` is the number of records that do, or ``True`` for any number from 1 on::

        result = simulate(plan, {"votes": [[b"a", b"?"]]}, seed=1, expect_failures=1)
        assert result.failures[0].payload == b"?"

    Raises ``SimulationError``, with the seed, if anything is missing, there twice, or wrong.
    Raises ``WallarooParameterError`` for a mistake in the call, such as an unknown pipeline.
    """
    refuse_arguments(application, workers, faults, expect_failures, cut_output)
    given = checked_input(application, input)
    chosen = faults if durable else without_losses(faults)
    parts = (objects or Objects(), Cutter(cut_output))
    simulation = _Simulation(application, given, Random(seed), workers, chosen, *parts, durable)
    check = check_output or simulation.compared(view_output)
    problems, cause = simulation.outcome(expect_failures, view_state, check)
    if problems:
        raise SimulationError(simulation.report(seed, problems, replay_command)) from cause
    return simulation.result()


class _Simulation:
    _initializer: SimulatedInitializer
    _deletions: Deletions

    def __init__(
        self,
        plan: Application,
        input: Mapping[str, Sequence[Any]],
        random: Random,
        workers: int,
        faults: Faults,
        objects: Objects,
        cutter: Cutter,
        is_durable: bool,
    ) -> None:
        self._is_durable, self._cutter = is_durable, cutter
        self._plan = plan = with_few_partitions(plan)
        self._objects, self._input, self._random = objects, input, random
        self._worker_count, self._run_count = workers, 0
        self.loop = Loop(random, STORY_STEPS)
        self._chaos = Chaos(faults, random, self.loop, self)
        self._disk = Disk(self._chaos)
        self._receivers, self._targets = Receivers(), Targets()
        self._problems: list[str] = []
        self._senders, self._brokers = self._new_origins()
        origins = self._senders, self._brokers
        self._hall = SendersHall(self.loop, self._disk, *origins, objects.keep_no_older)
        self._placed = placed_records(plan.pipelines, input)
        self._logs = self._new_logs()
        self._expected = Expected(plan, self._records(), cutter)
        self._world = World(
            plan=plan,
            chaos=self._chaos,
            disk=self._disk,
            objects=objects,
            network=Network(self.loop, self._chaos),
            receivers=self._receivers,
            targets=self._targets,
            prepared_targets=PreparedTargets(),
            hall=self._hall,
            placed=self._placed,
            logs=self._logs,
            sizes=Sizes.drawn(random),
            is_durable=is_durable,
            imported=ImportedClasses.of_this_process(),
            known_failures=frozenset((each.step, each.error) for each in self._expected.failures),
            problems=self._problems,
        )
        self._interval_s = random.uniform(0.03, random.choice(INTERVALS_MAX_S))
        self._is_stopping = self._is_draining = self._is_between = False
        self._is_over = self._may_lose_input = False
        self._patience: float = random.randint(2, 20)
        self._revived, self._cuts = RevivedKeys(objects, plan, self._expected), Cuts(objects, plan)
        self._residents: set[WorkerName] = set()  # before the last visit

    @property
    def _has_targets(self) -> bool:
        return any(sink.promise is Promise.OUTBOX for sink in self._plan.sinks)

    @property
    def _has_deferred(self) -> bool:
        deferred = (Promise.OUTBOX, Promise.TWO_PHASES)
        return any(sink.promise in deferred for sink in self._plan.sinks)

    def _new_origins(self) -> tuple[list[Sender], dict[int, Broker]]:
        """Return all senders, and the broker of each pipeline that has one."""
        senders: list[Sender] = []
        brokers: dict[int, Broker] = {}
        for index, pipeline in enumerate(self._plan.pipelines):
            frames = pipeline.source.frames
            if frames is not None and pipeline.source.listening_address:
                for payloads in self._input[pipeline.name]:
                    senders.append(Sender(len(senders), index, frames, payloads))
        for index, pipeline in enumerate(self._plan.pipelines):
            if pipeline.source.keeps_journal and not pipeline.source.listening_address:
                number = len(senders) + len(brokers)
                records = self._input[pipeline.name]
                brokers[index] = Broker(number, records, self.loop, self._disk, self._problems)
        return senders, brokers

    def _new_logs(self) -> dict[int, SimulatedLog]:
        return {
            index: SimulatedLog(
                dict(self._input[pipeline.name]),
                self.loop,
                self._chaos,
                ends=pipeline.source.ends,
                # At its end a run fires all windows, also those that the next one would add to.
                pauses=self._is_durable
                and all(state.timing is None for state in self._plan.states.values()),
                may_be_empty=self._is_durable and not pipeline.source.ends,
            )
            for index, pipeline in enumerate(self._plan.pipelines)
            if pipeline.source.assignment is Assignment.BY_SPLIT
        }

    def _records(self) -> dict[int, Sequence[Any]]:
        """Return by pipeline what each sender, or the one file or generator, has."""
        records: dict[int, Sequence[Any]] = {}
        for index, pipeline in enumerate(self._plan.pipelines):
            if index in self._placed:
                placed = self._placed[index]
                records[index] = [placed.copied(0, len(placed.all))]
            elif index in self._logs:
                records[index] = self._logs[index].contents()
            elif index in self._brokers:
                records[index] = [self._input[pipeline.name]]
            else:
                records[index] = self._input[pipeline.name]
        return records

    def outcome(
        self,
        expect_failures: bool | int,
        view_state: Callable[[Any], Any],
        check_output: CheckOutput,
    ) -> tuple[list[str], Exception | None]:
        """Run; return what is wrong with the result, and the error that caused it."""
        injected = self._chaos.injected
        self._deletions = Deletions(self._expected.states, view_state, injected)
        try:
            problems = (
                failure_mistakes(self._expected.failures, expect_failures)
                or self.run()
                or self.differences(check_output)
            )
        except Exception as error:  # noqa: BLE001  whatever the cluster's code raises is the finding
            return [f"{type(error).__name__}: {error}"], error
        finally:
            self.loop.close()
        return problems, None

    # The runs of the command

    def run(self) -> list[str]:
        """Run to the end; return what went wrong on the way."""
        self._start()
        self._hall.begin()
        self.loop.call_later(LOOK_S, self._look)
        if not self.loop.run(lambda: self._is_over or bool(self._problems), STEPS_MAX):
            phase = self._initializer.phase
            where = phase.value if phase else "beginning"
            return [f"it does not end: still {where} after {self.loop.now_s:.0f} s"]
        return self._problems

    def _start(self) -> None:
        self._run_count += 1
        self._is_stopping = self._is_draining = self._is_between = False
        self._deletions.run_started()
        rules = Rules(from_checkpoint=self._returned_to(), allow_lost_input=self._may_lose_input)
        if self._run_count > 1 and self._chaos.happens("resizes", 0.4):
            self._worker_count = self._random.randint(1, WORKERS_MAX)
        process = Process(self.loop, f"initializer{self._run_count}", self._chaos)
        self._chaos.initializer_started(process)
        self._initializer = SimulatedInitializer(
            self._world, process, self._worker_count, self._interval_s, rules
        )

    def _returned_to(self) -> int | None:
        """Return an older checkpoint to begin with, now and then."""
        if self._run_count == 1:
            return None
        kept = kept_checkpoints(self._objects, Rules().keep)
        if len(kept) < 2 or not self._chaos.take("returns", 0.5):
            return None
        return self._random.choice(kept)

    def lose_disk(self, worker: str) -> None:
        """Drop the journals of a worker."""
        self._disk.lose(worker)

    def crash_machine(self) -> None:
        """End all processes, and lose what is not durable."""
        self._initializer.process.end("crashed with its machine")
        for process in list(self._chaos.workers.values()):
            process.end("crashed with its machine")
        self._disk.crash_machine()

    def _look(self) -> None:
        """Do what the user of the command does: run it again, and stop it in the end."""
        self.loop.call_later(LOOK_S, self._look)
        self._look_at_store_and_sources()
        initializer = self._initializer
        if self._is_between:
            return
        if initializer.run.is_ended:
            if not initializer.has_processes:
                self._after_run(initializer)
        elif self._is_stopping:
            return
        elif self._is_draining:
            # A stop while it drains means that nobody wants the processes to stay.
            if self._random.random() < (0.3 if initializer.is_drained else 0.02):
                self._stop(initializer)
            elif self._chaos.take("resizes_while_running", 0.02):
                self._resize(initializer)
        elif initializer.is_running:
            self._look_while_running(initializer)

    def _look_at_store_and_sources(self) -> None:
        if self._is_durable:
            self._problems.extend(self._revived.look())
            self._problems.extend(self._cuts.look())
        for index, log in self._logs.items():
            self._let_grow(index, log)

    def _look_while_running(self, initializer: SimulatedInitializer) -> None:
        if self._chaos.take("orderly_stops", 0.02):
            self._stop(initializer)
        elif self._is_durable and self._chaos.take("drains", 0.03):
            self._drain(initializer)
        elif not initializer.is_resizing and self._chaos.take("visits", 0.15):
            self._visit(initializer)
        elif self._chaos.take(
            # A second request while one is under way is refused; that is tried now and then.
            "resizes_while_running",
            0.01 if initializer.is_resizing else 0.3,
        ):
            self._resize(initializer)
        elif not self._is_enough_taken():
            return
        elif not self._deletions.are_many and self._chaos.take("deletions", 0.5):
            initializer.delete(self._deletions)
        elif not self._deletions.are_waiting:
            self._patience -= 0.2 if initializer.is_resizing else 1
            if self._patience <= 0:
                is_drained_first = self._chaos.take("drains", 0.5)
                (self._drain if is_drained_first else self._stop)(initializer)

    def _is_enough_taken(self) -> bool:
        """Whether a stop now would come to the end of the input, as far as that can be known."""
        are_logs_read = all(log.is_read for log in self._logs.values())
        are_all = self._is_durable or all(
            each.taken_count == len(each.all) for each in self._placed.values()
        )
        return self._hall.are_done and are_logs_read and are_all

    def _let_grow(self, index: int, log: SimulatedLog) -> None:
        """Let a log grow once its first positions are known, and drop what nobody needs."""
        if not self._is_durable:
            if log.are_starts_known:
                log.grow()
            return
        numbers = kept_checkpoints(self._objects, Rules().keep)
        if not numbers or (log.is_growing and self._random.random() > DROPS):
            return
        kept = [positions_in(manifest_of(self._objects, each), index) for each in numbers]
        if log.is_growing:
            log.drop(kept)
        elif log.has_first_positions(kept[0]):
            # No run may go back to where these positions are not known.
            self._objects.keep_no_older()
            log.grow()

    def _resize(self, initializer: SimulatedInitializer) -> None:
        random, workers = self._random, initializer.workers
        joining_count = random.choice([0, 0, 1, 1, 2, 3]) if len(workers) < WORKERS_MAX else 0
        is_refused = not joining_count and random.random() < REFUSED
        if not joining_count and len(workers) == 1 and not is_refused:
            joining_count = 1
        # All of them may leave if others join; if none does, that is refused.
        fewest = 0 if joining_count else 1
        most = len(workers) if joining_count or is_refused else len(workers) - 1
        leaving_count = random.randint(fewest, min(most, 3))
        # Those that joined last may still hold results back for others.
        is_last_in = leaving_count > 0 and random.random() < LAST_IN_FIRST_OUT
        leaving = workers[-leaving_count:] if is_last_in else random.sample(workers, leaving_count)
        initializer.resize(joining_count, leaving)

    def _visit(self, initializer: SimulatedInitializer) -> None:
        """Let workers join, or leave again if they joined by a visit."""
        visitors = [worker for worker in initializer.workers if worker not in self._residents]
        if visitors and len(visitors) < len(initializer.workers):
            initializer.resize(0, visitors)
        elif len(initializer.workers) < WORKERS_MAX:
            self._residents = {*initializer.workers}
            initializer.resize(1, [])

    def _drain(self, initializer: SimulatedInitializer) -> None:
        self._is_draining = True
        initializer.drain()

    def _stop(self, initializer: SimulatedInitializer) -> None:
        self._is_stopping = True
        initializer.stop()

    def _after_run(self, initializer: SimulatedInitializer) -> None:
        error = initializer.run.error
        is_whole = initializer.process.is_alive and error is None
        initializer.process.end("ended")
        # A run that was refused for that is to be told to go on without it.
        self._may_lose_input |= initializer.has_lost_input
        if is_whole and self._all_is_taken():
            self._is_over = True
        elif error is not None and not isinstance(error, PASSING):
            self._problems.append(f"the run ended with {type(error).__name__}: {error.what}")
            self._is_over = True
        elif self._run_count >= RUNS_MAX:
            self._problems.append(f"the command was run {RUNS_MAX} times, and never to the end")
            self._is_over = True
        else:
            self._is_between = True
            if self._has_targets and self._chaos.take("other_stores", 0.5):
                workers = [*first_names(WORKERS_MAX)]
                sinks = len(self._plan.sinks)
                self._targets.use_by_another_store(self._plan.name, sinks, workers)
            delay_s = NOTICE_S + self._random.random() * AGAIN_S
            self.loop.call_later(delay_s, self._start)

    def _all_is_taken(self) -> bool:
        """Whether the last checkpoint holds all input."""
        if not self._is_durable:
            return self._is_enough_taken()
        newest = newest_manifest(self._objects)
        positions = merged(share.sources for share in newest.workers.values())
        are_placed_done = all(
            positions.get(index) == len(records.all) for index, records in self._placed.items()
        )
        are_logs_read = all(
            log.is_read_in(split_values(positions.get(index))) for index, log in self._logs.items()
        )
        return self._hall.are_done and are_placed_done and are_logs_read

    # The result

    def _final_states(self) -> States:
        if not self._is_durable:
            return self._initializer.states()
        return final_states(self._objects, self._plan, self._expected)

    def _final_counts(self) -> list[Counts]:
        """Return the counts of records as they are shown, and as the next run would begin."""
        shown = self._initializer.counts()
        return [shown, counts_in(newest_manifest(self._objects))] if self._is_durable else [shown]

    def compared(self, view: Callable[[Any], Any]) -> CheckOutput:
        """Return what compares output with that of a plain run."""
        expected, is_durable = self._expected.output, self._is_durable
        return lambda output: output_differences(
            self._plan, expected, output, view, is_durable=is_durable
        )

    def differences(self, check_output: CheckOutput) -> list[str]:
        """Return what is not as in a plain run, in which all windows fire in the end."""
        found = self._final_states()
        output = self._output()
        if self._is_durable:
            parts = self._objects, self._plan, self._expected, self._cutter
            for sink, rows in open_windows(*parts).items():
                output[sink] = [*output[sink], *rows]
        return [
            *self._deletions.state_differences(found),
            *check_output(output),
            *unnamed_batches(self._targets, self._objects.manifests()),
            *uncalled_for(self._world.prepared_targets, self._objects.manifests()),
            *(
                line
                for counted in self._final_counts()
                for line in count_differences(self._plan, self._expected.counts, counted)
            ),
        ]

    def _output(self) -> dict[int, list[Any]]:
        output: dict[int, list[Any]] = {}
        line = committed_line(self._objects) if self._has_deferred else []
        for index, sink in enumerate(self._plan.sinks):
            if sink.promise is Promise.OUTBOX and self._is_durable:
                output[index] = once_output(self._targets, index, line)
            elif sink.promise is Promise.TWO_PHASES and self._is_durable:
                output[index] = two_phase_output(self._world.prepared_targets, index, line)
            elif not sink.takes_bytes:
                output[index] = rows_received(self._receivers, index)
            elif sink.path is not None:
                output[index] = self._cutter.cut(bytes(self._disk.files.get(sink.path, b"")))
            else:
                output[index] = stream_output(self._receivers, index, self._cutter)
        return output

    def result(self) -> SimulationResult:
        """Return what the run has come to."""
        origins: list[Origin] = [*self._senders, *self._brokers.values()]
        return SimulationResult(
            states=self._final_states(),
            output=self._output(),
            failures=tuple(self._expected.failures),
            arrivals=self._receivers.arrivals,
            accepted=[
                *accepted_payloads(self._disk, origins),
                *(each for log in self._logs.values() for each in log.contents()),
            ],
            sent_again=payloads_sent_again(self._disk, origins),
            injected=self._chaos.injected,
            story=list(self.loop.story),
            fingerprint=self.loop.fingerprint,
            step_count=self.loop.step_count,
        )

    def report(self, seed: int, problems: list[str], replay_command: str) -> str:
        """Return all that is to be known of a run that went wrong."""
        shown = problems[:DIFFERENCES_SHOWN_MAX]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        again = replay_command or f"simulate(..., seed={seed})"
        return "\n".join(
            [
                f"seed {seed}: {shown[0]}",
                *shown[1:],
                f"faults: {dict(self._chaos.injected)}",
                f"run it again: {again}",
                "the last steps:",
                *self.loop.story,
                *self._stories(),
            ]
        )

    def _stories(self) -> list[str]:
        """Return what each worker did last."""
        lines: list[str] = []
        if not self._run_count:
            return lines  # the mistake was found before any process was started
        for process, story in self._initializer.stories().items():
            lines += [f"the last steps of {process}:", *story]
        return lines
