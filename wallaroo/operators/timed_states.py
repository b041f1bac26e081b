"""The states of one worker that time changes, and the chains that run when it does.

A **timed store** has the windows, or the timers, of one state. Records come to it in their chain,
and the clock by ``advance``. What the clock makes due is not run at once: the engine asks for it, a
slice at a time, between slices of records. What time causes leaves its pipeline by the port
*fired*, where a chain begins; late records that go on by themselves leave it by the port *late*.

    record -> chain -> store -> take_late -> chain behind the port late
    clock -> advance -> store -> fire_some -> chain behind the port fired

A record may cause a result by itself, by ``until`` for example. Its chain calls ``give`` then,
before it takes the next record, which may change the same accumulator.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.tally import Tally
from wallaroo.operators.failures import Site
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.keyed_times import KeyedTimes
from wallaroo.operators.saved_state import SavedState
from wallaroo.operators.timed_store import Due, TimedFigures, TimedStore
from wallaroo.operators.timed_windows import TimedWindows, store_of
from wallaroo.operators.writing.bindings import Bindings
from wallaroo.operators.writing.chain import write_port
from wallaroo.timing.pane_store import PaneStore, TooManyPanesError
from wallaroo.timing.partial_panes import PartialPane
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.plan import Application, Flow, Step
from wallaroo.topology.ports import Port


class Worker(Protocol):
    """What a dataflow does for its timed states."""

    states: dict[str, KeyedState]
    tally: Tally

    def fail(
        self, error: BaseException, site: Site, key: Any, record: Any, payload: bytes | None
    ) -> None:
        """Note that user code has raised."""
        ...


class TimedStates:
    """The timed states of one worker."""

    def __init__(
        self,
        worker: Worker,
        plan: Application,
        *,
        tracks_changes: bool = False,
        wall_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """With ``tracks_changes`` checkpoints are on."""
        self._plan = plan
        self._tally = worker.tally
        self._fail = worker.fail
        self._steps: dict[str, tuple[Flow, Step]] = {
            step.state: (flow, step) for flow, step in _window_steps(plan) if step.state is not None
        }
        self._pipelines = {name: plan.flows.index(flow) for name, (flow, _) in self._steps.items()}
        self.keyed = KeyedTimes(plan, worker.states, wall_ns)
        """State computations that do something by time."""
        self.stores: dict[str, TimedStore] = {}
        """By state, in the order of the plan: each comes behind all that its records come from."""
        for name in self._steps:
            timing = plan.states[name].timing
            assert isinstance(timing, WindowSpec)
            state = worker.states[name]
            self.stores[name] = store_of(name, timing, state, tracks_changes=tracks_changes)
        self._fired: dict[str, Callable[..., None]] = {}
        self._late: dict[str, Callable[..., None]] = {}

    @property
    def names(self) -> list[str]:
        """Return the states that have a clock, upstream first."""
        clocked = {*self.stores, *self.keyed.names}
        return [name for name in self._plan.states if name in clocked]

    @property
    def gives(self) -> dict[str, Callable[[int], None]]:
        """Return what chains call to give what a record has caused, by state."""
        return {name: partial(self.give, name) for name in self.stores}

    def saved_states(self) -> dict[str, SavedState]:
        """Return what checkpoints and moves take of them, by state."""
        saved = (store.saved_states() for store in self.stores.values())
        return {name: state for states in saved for name, state in states.items()}

    def write_chains(self, bindings: Bindings) -> None:
        """Write the chains behind the ports for the members that ``bindings`` are for."""
        for name, (flow, _) in self._steps.items():
            self._fired[name] = write_port(self._plan, flow, Port.FIRED, bindings)
            self._late[name] = write_port(self._plan, flow, Port.LATE, bindings)
        self.keyed.write_chains(bindings)

    # The clock

    def begin_slice(self, read_ns: int) -> None:
        """Note that a slice of records follows, which were read at this time; 0 if unknown."""
        self.keyed.begin_slice(read_ns)

    def advance(self, state: str, clock: int) -> None:
        """Move the clock of a state; ``fire_some`` runs what is due then."""
        if state in self.stores:
            self.stores[state].advance(clock)
        else:
            self.keyed.advance(state, clock)

    def clock(self, state: str) -> int:
        """Return the clock of a state."""
        return self.stores[state].clock if state in self.stores else self.keyed.clock(state)

    def has_due(self, state: str) -> bool:
        """Return whether something of a state is due."""
        return self.stores[state].has_due if state in self.stores else self.keyed.has_due(state)

    def figures(self, state: str) -> TimedFigures:
        """Return what is shown of a state."""
        store = self.stores.get(state)
        return self.keyed.figures(state) if store is None else store.figures()

    def fired(self, state: str) -> int:
        """Return up to when everything of a state is given."""
        return self.stores[state].fired if state in self.stores else self.keyed.fired(state)

    @property
    def due_state(self) -> str | None:
        """The first state of which something is due; ``None`` if nothing is."""
        for name, store in self.stores.items():
            if store.has_due:
                return name
        return self.keyed.due_state

    def fire_some(self, key_count_max: int) -> int:
        """Run a part of what is due of `due_state`; return for how many keys work was done. It is 0
        only if nothing is due."""
        state = self.due_state
        if state is None:
            return 0
        if state in self.stores:
            return self._fire(state, self.stores[state], key_count_max)
        return self.keyed.fire_some(state, key_count_max)

    def pipeline_of(self, state: str) -> int:
        """Return the index of the pipeline that a state ends, or is in."""
        if state in self._pipelines:
            return self._pipelines[state]
        return self.keyed.pipeline_of(state)

    def give(self, state: str, time: int) -> None:
        """Run what a record with this time has caused by itself, and late records."""
        store = self.stores[state]
        while (due := store.fire_ready(time)) is not None:
            self._run(state, due)
        late = store.take_late()
        if late:
            _, step = self._steps[state]
            self._tally.late[self._nodes.of_step[step.id]] += len(late)
            self._late[state](*map(list, zip(*late, strict=True)))

    def add_partials(self, state: str, panes: Iterable[PartialPane]) -> None:
        """Add what other workers have of panes of a state."""
        store = self.stores[state]
        assert isinstance(store, TimedWindows) and isinstance(store.windows, PaneStore)
        for pane in panes:
            try:
                store.windows.add_partial(pane)
            except TooManyPanesError as error:
                site = self._site(state)
                # One dead letter for each key, but each record counts; first, since it may raise.
                self._tally.failed[site.node] += pane.record_count - len(pane.keys)
                for key, accumulator in zip(pane.keys, pane.accumulators, strict=True):
                    self._fail(error, site, key, accumulator, None)

    def _fire(self, name: str, store: TimedStore, key_count_max: int) -> int:
        count = 0
        while count < key_count_max:
            due = store.fire_some(key_count_max - count)
            if due is None:
                break
            key_count = len(due.columns[0])
            # Work without a result may have looked at as many keys as it was allowed to.
            count += key_count or key_count_max
            self._run(name, due)
        return max(count, 1)

    def _run(self, state: str, due: Due) -> None:
        if due.columns[0]:
            self._fired[state](*due.columns)
        if due.failures:
            site = self._site(state)
            for key, record, error in due.failures:
                self._fail(error, site, key, record, None)

    def _site(self, state: str) -> Site:
        flow, step = self._steps[state]
        node = self._nodes.of_step[step.id]
        return Site(flow.name, step.name, has_key=True, function=step.function, node=node)

    @property
    def _nodes(self) -> Nodes:
        return self._tally.nodes


def timed_states_of(
    worker: Worker, plan: Application, tracks_changes: bool, wall_ns: Callable[[], int]
) -> TimedStates | None:
    """Return the timed states of a plan; ``None`` if it has none."""
    if all(state.timing is None for state in plan.states.values()):
        return None
    return TimedStates(worker, plan, tracks_changes=tracks_changes, wall_ns=wall_ns)


def _window_steps(plan: Application) -> list[tuple[Flow, Step]]:
    return [
        (flow, step)
        for flow in plan.flows
        for stage in flow.stages
        for step in stage.steps
        if step.window is not None
    ]
