"""One call of a method of a pipeline: where it is, and what is wrong with its arguments."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from wallaroo.api.flow import EndNode, Node, PortNode, StepNode, WrongNode
from wallaroo.api.inspection import Problem, caller_place
from wallaroo.api.readers import StepReading, read_mapping, read_step
from wallaroo.api.windows import read_windows
from wallaroo.connectors.base import Sink, SinkConfig
from wallaroo.errors import WallarooParameterError
from wallaroo.topology.graph import (
    ComputationDeclaration,
    PartitionDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.ports import Port

P = ParamSpec("P")
T = TypeVar("T")


class Call:
    """A call of ``method``, which goes on behind ``node``; it keeps its mistakes for ``build``."""

    def __init__(self, node: Node | None, method: str) -> None:
        self.place: SourceLocation = caller_place()
        self.mistakes: list[str] = []
        self._node = node
        self._method = method
        if isinstance(node, EndNode):
            self.add_mistake(
                f"{method}() comes after {node.method}() has ended the pipeline",
                f"move it before {node.method}()",
            )

    def read(self, reader: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what ``reader`` returns; ``None`` if it found mistakes."""
        try:
            return reader(*args, **kwargs)
        except WallarooParameterError as error:
            self.mistakes += error.mistakes
            return None

    def add_mistake(self, what: str, remedy: str) -> None:
        """Note a mistake of this call."""
        self.mistakes.append(Problem(what, remedy).at(self.place))

    def origin(self) -> tuple[SourceLocation, tuple[Node, ...], tuple[str, ...]]:
        """Return what all nodes begin with; call it once all arguments are read."""
        parents = () if self._node is None else (self._node,)
        return self.place, parents, tuple(self.mistakes)

    def step(
        self,
        kind: StepKind,
        computation: Any,
        state: StateDeclaration | None = None,
        partition: PartitionDeclaration | None = None,
    ) -> StepNode:
        """Return the node of a computation."""
        reading = self.read(read_step, computation, kind, self.place)
        return self._step_node(kind, reading, state, partition)

    def mapping(
        self, function: Any, *, is_multi: bool = False, is_filter: bool = False
    ) -> StepNode:
        """Return the node of a function that ``filter``, ``map`` or ``flat_map`` is given."""
        computation = self.read(
            read_mapping,
            function,
            self._method,
            self.place,
            is_multi=is_multi,
            is_filter=is_filter,
        )
        reading = None if computation is None else StepReading(computation)
        return self._step_node(StepKind.FUSED, reading, None, None)

    def windows(self, given: Any) -> PortNode:
        """Return the node of the results of windows."""
        spec = self.read(read_windows, given, self.place)
        place, parents, mistakes = self.origin()
        step = StepNode(place, parents)
        if spec is not None:
            aggregation = spec.aggregation
            name = aggregation.name if spec.name is None else spec.name
            computation = ComputationDeclaration(name, aggregation.update, False, window=spec)
            declared = StepDeclaration(StepKind.FUSED, computation, place)
            step = StepNode(place, parents, (), declared, aggregation.initial)
        return PortNode(place, (step,), mistakes, (Port.FIRED,))

    def _step_node(
        self,
        kind: StepKind,
        reading: StepReading | None,
        state: StateDeclaration | None,
        partition: PartitionDeclaration | None,
    ) -> StepNode:
        if reading is None:
            return StepNode(*self.origin())
        step = StepDeclaration(kind, reading.computation, self.place, state, partition)
        return StepNode(*self.origin(), step, reading.own_state)

    def end(self, sinks: Sequence[tuple[Sink | None, SinkConfig[Any]]]) -> EndNode:
        """Return the node of an end with these sinks, which are ``None`` if they are wrong."""
        known = [(sink, config) for sink, config in sinks if sink is not None]
        return EndNode(
            *self.origin(),
            self._method,
            tuple(sink for sink, _ in known),
            tuple(config for _, config in known),
        )

    def wrong(self) -> WrongNode:
        """Return the node of a call that adds nothing but its mistakes."""
        return WrongNode(*self.origin())
