"""The graph of an application as it is declared: each node knows what it follows.

The methods of pipelines and of the builder make these nodes, and nothing is changed once it is
made. A node that two others follow is one prefix of both. What a user has written wrongly is
``None`` in a node, and a sentence in its ``mistakes``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.base import Sink, SinkConfig, Source
from wallaroo.timing.spec import SourceTime
from wallaroo.topology.graph import (
    PartitionDeclaration,
    PredicateDeclaration,
    SourceLocation,
    StepDeclaration,
)
from wallaroo.topology.ports import Port


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One call of a method, at its line in the user's file."""

    place: SourceLocation
    parents: tuple["Node", ...] = ()
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class SourceNode(Node):
    """A source, which starts a pipeline."""

    name: str | None = None
    source: Source | None = None


@dataclass(frozen=True, eq=False, slots=True)
class StepNode(Node):
    """A computation."""

    step: StepDeclaration | None = None
    own_state: Callable[[], Any] | None = None
    """Makes the objects of its state, if it has one of its own, which no other step uses."""


@dataclass(frozen=True, eq=False, slots=True)
class KeyNode(Node):
    """A key for the records that follow: ``key_by`` or ``collect``."""

    key: PartitionDeclaration | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TimeNode(Node):
    """Where the times of the records come from: ``with_time``."""

    times: SourceTime | None = None


@dataclass(frozen=True, eq=False, slots=True)
class MergeNode(Node):
    """The records of all its parents."""


@dataclass(frozen=True, eq=False, slots=True)
class SplitNode(Node):
    """The conditions that choose a branch; only branches follow it."""

    predicates: tuple[PredicateDeclaration, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class BranchNode(Node):
    """The records of one branch of a split."""

    index: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class PortNode(Node):
    """The records that leave a step by ports: its parent is the node of that step."""

    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class WrongNode(Node):
    """A call that adds nothing to its pipeline, because it is a mistake."""


@dataclass(frozen=True, eq=False, slots=True)
class EndNode(Node):
    """The end of a pipeline."""

    method: str = ""
    """``to_sink``, ``to_sinks`` or ``done``."""
    sinks: tuple[Sink, ...] = ()
    configs: tuple[SinkConfig[Any], ...] = ()
    """What the user gave for ``sinks``, in the same order."""
    shares_sinks: bool = True
    """Whether a config that several ends have is one sink. In the builder each use is another."""


def in_order(ends: Iterable[Node]) -> list[Node]:
    """Return all nodes that lead to ``ends``, each once and behind its parents."""
    found: dict[Node, None] = {}
    waiting = [(end, False) for end in reversed([*ends])]
    while waiting:
        node, has_parents = waiting.pop()
        if node in found:
            continue
        if has_parents:
            found[node] = None
            continue
        waiting.append((node, True))
        waiting += [(parent, False) for parent in reversed(node.parents)]
    return [*found]
