"""What written code refers to: the objects of one worker, for one set of members."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.tally import Tally
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.operators.changes import StateChanges
from wallaroo.operators.combining import Combiner
from wallaroo.operators.failures import Site
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.routes import Routes
from wallaroo.topology.plan import Exchange
from wallaroo.topology.resources import ResourceMaker


@dataclass(slots=True)
class Bindings:
    """The objects that the written code refers to; the dataflow makes them for one set of
    members."""

    is_single_worker: bool
    states: dict[str, KeyedState]
    routes: dict[EdgeId, Routes[list[Any]]]
    """For keyed exchanges: key to the list of its worker, ``None`` for this one."""
    distributors: dict[EdgeId, Callable[[], list[Any] | None]]
    """For round-robin exchanges: returns the list of the next worker, ``None`` for this one."""
    travels_as_payload: frozenset[EdgeId]
    timed_edges: frozenset[EdgeId]
    """Those over which records travel with their times."""
    combiners: Mapping[EdgeId, Combiner]
    """By exchange over which accumulators may travel instead of records."""
    sink_appends: dict[SinkId, Callable[[Any], object]]
    fail: Callable[[BaseException, Site, Any, Any, bytes | None], None]
    """Called with the error, its site, key, record and payload."""
    held_appends: dict[StepId, Callable[[Any], object]]
    """For steps at which records wait: takes a tuple of key, record and payload."""
    resources: Mapping[ResourceMaker, Any]
    """What steps get by keyword."""
    timed_stores: Mapping[str, Any]
    """By state that time changes: what chains call to add a record."""
    gives: Mapping[str, Callable[[int], None]]
    """By such a state: runs what a record with this time has caused by itself."""
    keyed_steps: Mapping[StepId, Any]
    """For state computations that do something by time: their states and contexts."""
    nodes: Nodes
    tally: Tally
    """Where chains count changes of the number of records, if steps are counted."""
    tracking: list[tuple[dict[str, Any], int, StateChanges]] = field(default_factory=list)
    """The namespaces of chains that track changes, with the number of the step."""

    def send_payloads(self, edges: frozenset[EdgeId]) -> None:
        """Send original payloads over these edges only, once the chains are written again."""
        self.travels_as_payload = edges

    def combiner(self, exchange: Exchange) -> Combiner | None:
        """Return what combines records before they cross an exchange; ``None`` if each crosses it
        by itself."""
        combiner = self.combiners.get(exchange.edge)
        is_on = combiner is not None and combiner.is_on and not self.is_single_worker
        return combiner if is_on else None

    def changes_are_frozen(self) -> None:
        """Let chains note changes for the next checkpoint from now on."""
        for names, step, change in self.tracking:
            bind_changes(names, step, change)

    def track(self, names: dict[str, Any], step: int, change: StateChanges) -> None:
        """Let the chain with these names track changes of a state in this step."""
        bind_changes(names, step, change)
        self.tracking.append((names, step, change))


def bind_changes(names: dict[str, Any], step: int, change: StateChanges) -> None:
    """Set the names by which a chain tracks changes to what they are after the last barrier."""
    names[f"marks_{step}"] = change.marks
    names[f"mark_of_{step}"] = change.marks.get
    names[f"current_{step}"] = change.current_mark
    names[f"frozen_mark_{step}"] = change.frozen_mark
    names[f"note_changed_{step}"] = change.changed.append
    names[f"frozen_{step}"] = change.frozen
    names[f"copy_first_{step}"] = change.copy_first
