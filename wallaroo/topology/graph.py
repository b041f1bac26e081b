"""The declarations of an application, after each one was validated by itself.

The builder of ``wallaroo.api`` reads the user's objects into these values, and ``compile_graph``
makes the plan from them. Nothing here refers to decorators or configurations.

Every pipeline is linear: where records come from, its steps in order, and where they go. A graph is
made of pipelines that are *fed by pipelines*:

* A prefix that is used twice is one pipeline. Each continuation is a pipeline that is fed by its
  end; every record goes into all of them.
* A merge is a pipeline with several feeds. The order between them is not kept.
* A split is a pipeline with *branches*, a predicate for each branch but the last. A record goes to
  the pipelines that are fed by the first branch whose predicate is true, or by the last branch.
* A window is the last step of its pipeline. Its results go on in a pipeline that is fed by the port
  *fired*, and its late records in one that is fed by the port *late*.

``a.key_by(f).merge(b.key_by(g)).to(count)``, for example, is::

    pipeline 0: source a, no steps, key=f
    pipeline 1: source b, no steps, key=g
    pipeline 2: source=Inner((Feed(0), Feed(1))), steps=(count without a partition,)
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.routing.payload_keys import PayloadKey
from wallaroo.timing.keyed_timing import KeyedTiming
from wallaroo.timing.spec import SourceTime
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.ports import Port
from wallaroo.topology.resources import ResourceMaker
from wallaroo.topology.waiting import Waiting


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A line in the user's files."""

    file: str
    """Last part of the path: ``alphabet.py``."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class StepKind(enum.Enum):
    """The way a step was added; the value is the name of the builder's method."""

    FUSED = "to"
    PARALLEL = "to_parallel"
    SINGLE_STATE = "to_stateful"
    PARTITIONED_STATE = "to_state_partition"


@dataclass(frozen=True, slots=True)
class ComputationDeclaration:
    """A computation: its name, and the function that workers call."""

    name: str
    function: Callable[..., Any]
    is_multi: bool
    """Whether it returns a list of results, as that of ``flat_map`` does."""
    is_filter: bool = False
    """Whether it is a predicate: the record itself goes on if it returns something true."""
    always_changes: bool = False
    """Whether a state computation returns only its result, without ``save_state``: then each call
    counts as a change of the state."""
    waiting: Waiting | None = None
    """How records wait for it; ``None`` if each is processed as it arrives."""
    resources: tuple[tuple[str, ResourceMaker], ...] = ()
    """What the function gets by keyword."""
    window: WindowSpec | None = None
    """The windows that it is; then the function is that which adds a record to an accumulator."""
    timing: KeyedTiming | None = None
    """What a state computation does by time."""


@dataclass(frozen=True, slots=True)
class PartitionDeclaration:
    """A partition function, from record to key, or where else the key is.

    Without a function, a payload key and ``by_source_key`` all records have one constant key, as
    ``collect()`` gives it.
    """

    name: str
    function: Callable[[Any], Any] | None = None
    payload_key: PayloadKey | None = None
    by_source_key: bool = False


@dataclass(frozen=True, slots=True)
class StateDeclaration:
    """A state as declared by one step; steps of several pipelines may declare the same one."""

    name: str
    """Steps with the same name share the state. A step that has a state of its own needs a name
    that no other step has: what makes the declarations adds `` 2``, `` 3``."""
    create: Callable[[], Any]
    keys: tuple[Any, ...] | None
    """Declared keys in canonical form; ``None`` for the one state object of ``to_stateful``.

    A state that is declared with ``StepKind.FUSED`` has the keys of what it is behind.
    """
    timing: WindowSpec | None = None
    """What time does to its keys; ``None``: nothing."""


@dataclass(frozen=True, slots=True)
class StepDeclaration:
    """One computation at its position in a pipeline."""

    placement: StepKind
    """How it was added. A state computation is ``FUSED`` if it uses the key that records have:
    from ``partition``, or from an earlier step, or from what feeds the pipeline."""
    computation: ComputationDeclaration
    place: SourceLocation
    state: StateDeclaration | None = None
    partition: PartitionDeclaration | None = None
    """The key that records have from this step on, until another step has a partition.

    ``FUSED``: ``key_by()`` or ``collect()`` directly before the step. Records travel to the owner
    of their key first, and all states that use the key are behind this one exchange.
    ``PARTITIONED_STATE``: the partition function of the step itself. ``PARALLEL``: records get the
    key, and are then distributed; it has to be a function or constant. ``SINGLE_STATE``: none.
    A key that ``PARTITIONED_STATE`` or ``SINGLE_STATE`` gives does not pass a later ``PARALLEL``;
    one that ``key_by()`` gives does. Payload keys and source keys belong to the first step behind
    a source.
    """


@dataclass(frozen=True, slots=True)
class Feed:
    """The point at which the records of another pipeline go on into this one."""

    pipeline: int
    """The index of an earlier pipeline in ``Graph.pipelines``."""
    branch: int | None = None
    """``None``: its end. If it has branches, one of them, counted from 0; the last one, which has
    no predicate, has the number ``len(branches)``."""
    port: Port = Port.END


@dataclass(frozen=True, slots=True)
class Inner:
    """What a pipeline has instead of a source if other pipelines feed it: one or more feeds.

    The records have a key if those of all feeds have one.
    """

    feeds: tuple[Feed, ...]


@dataclass(frozen=True, slots=True)
class PredicateDeclaration:
    """The condition of a branch: its name in dead letters and plans, and the user's function."""

    name: str
    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class PipelineDeclaration:
    """A source, or what feeds it, its steps in order, and where its records go.

    Records go to the sinks, and to all pipelines that this one feeds. If it has branches, it has
    no sinks, and what it feeds names a branch.
    """

    name: str
    """No other pipeline has this name, be it fed by a source or by pipelines. Dead letters, metrics
    and commands use it."""
    source: Source | Inner
    steps: tuple[StepDeclaration, ...]
    sinks: tuple[Sink, ...]
    """Empty if the pipeline ends with ``done()``, or feeds others.

    The same object in several pipelines is one sink; equal objects are two. Sinks are numbered in
    the order in which the declarations name them first.
    """
    branches: tuple[PredicateDeclaration, ...] = ()
    """The predicates of ``split()`` behind the last step, asked in this order."""
    key: PartitionDeclaration | None = None
    """``key_by()`` or ``collect()`` behind the last step: a function or constant.

    What the pipeline feeds gets records with this key, and the first step there comes after an
    exchange. Predicates of branches get the record, as everywhere.
    """
    time: SourceTime | None = None
    """Where the times of the records come from, if ``with_time()`` says so and not the source."""
    time_after: int = 0
    """How many steps come before ``with_time()``; none of them moves records or lets them wait."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole application without mistakes."""

    application: str
    pipelines: tuple[PipelineDeclaration, ...]
    """In any order in which feeds name earlier pipelines only."""
