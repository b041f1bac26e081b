"""The declarations of an application, after each one was validated by itself.

The builder of ``wallaroo.api`` reads the user's objects into these values, and ``compile_graph``
makes the plan from them. Nothing here refers to decorators or configurations.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.routing.payload_keys import PayloadKey


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
    always_changes: bool = False
    """Whether a state computation returns only its result, without ``save_state``: then each call
    counts as a change of the state."""


@dataclass(frozen=True, slots=True)
class PartitionDeclaration:
    """A partition function, from record to key, or where else the key is."""

    name: str
    function: Callable[[Any], Any] | None = None
    payload_key: PayloadKey | None = None
    by_source_key: bool = False


@dataclass(frozen=True, slots=True)
class StateDeclaration:
    """A state as declared by one step; steps of several pipelines may declare the same one."""

    name: str
    create: Callable[[], Any]
    keys: tuple[Any, ...] | None
    """Declared keys in canonical form; ``None`` for the one state object of ``to_stateful``."""


@dataclass(frozen=True, slots=True)
class StepDeclaration:
    """One computation at its position in a pipeline."""

    placement: StepKind
    computation: ComputationDeclaration
    place: SourceLocation
    state: StateDeclaration | None = None
    partition: PartitionDeclaration | None = None


@dataclass(frozen=True, slots=True)
class PipelineDeclaration:
    """One source, its steps in order, and its sinks."""

    name: str
    source: Source
    steps: tuple[StepDeclaration, ...]
    sinks: tuple[Sink, ...]
    """Empty if the pipeline ends with ``done()``."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole application without mistakes."""

    application: str
    pipelines: tuple[PipelineDeclaration, ...]
