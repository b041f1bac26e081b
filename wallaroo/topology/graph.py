"""What an application declared, once every declaration by itself is known to be sound.

The builder of ``wallaroo.api`` reads the user's objects into these values; ``compile_graph`` makes
the plan of them. Nothing here refers to decorators or configurations any more.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.routing.payload_keys import PayloadKey


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where in the user's files something was written."""

    file: str
    """Last part of the path: ``alphabet.py``."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class StepKind(enum.Enum):
    """How a step was added; the value is the builder's method."""

    FUSED = "to"
    PARALLEL = "to_parallel"
    SINGLE_STATE = "to_stateful"
    PARTITIONED_STATE = "to_state_partition"


@dataclass(frozen=True, slots=True)
class ComputationDeclaration:
    """A computation: its name, and the function that a worker calls."""

    name: str
    function: Callable[..., Any]
    is_multi: bool


@dataclass(frozen=True, slots=True)
class PartitionDeclaration:
    """A partition function, record to key, or a key in the payload."""

    name: str
    function: Callable[[Any], Any] | None = None
    payload_key: PayloadKey | None = None


@dataclass(frozen=True, slots=True)
class StateDeclaration:
    """A state as one step names it; steps of several pipelines may name the same one."""

    name: str
    create: Callable[[], Any]
    keys: tuple[Any, ...] | None
    """Declared keys in canonical form; ``None`` for the one state object of ``to_stateful``."""


@dataclass(frozen=True, slots=True)
class StepDeclaration:
    """One computation in its place in a pipeline."""

    placement: StepKind
    computation: ComputationDeclaration
    place: SourceLocation
    state: StateDeclaration | None = None
    partition: PartitionDeclaration | None = None


@dataclass(frozen=True, slots=True)
class PipelineDeclaration:
    """One source, the steps behind it in order, and where the results go."""

    name: str
    source: Source
    steps: tuple[StepDeclaration, ...]
    sinks: tuple[Sink, ...]
    """Empty where the pipeline ends in ``done()``."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole application without mistakes."""

    application: str
    pipelines: tuple[PipelineDeclaration, ...]
