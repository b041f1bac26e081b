"""The plan: what an application compiles to, immutable, the same in every process.

A pipeline is a source followed by **stages**. Within a stage the steps are fused: a record runs
through all of them where it is. Before each stage but the first stands an **exchange**, where
records change worker. After the last stage come the sinks.

    source -> stage 0 -> exchange -> stage 1 -> exchange -> stage 2 -> sinks
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.base import Sink, Source
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.routing.payload_keys import PayloadKey

HASHED_PARTITIONS_DEFAULT = 1024
"""Partitions a state has for the keys that were not declared."""

CONSTANT_KEY = "key"
"""The one key of a state that is not partitioned (``to_stateful``)."""


class ExchangeKind(enum.Enum):
    """How an exchange chooses the worker for a record."""

    KEYED = "keyed"
    ROUND_ROBIN = "round robin"


@dataclass(frozen=True, slots=True)
class State:
    """State objects of one name, one for each key, made by ``create()`` on first use."""

    name: str
    create: Callable[[], Any]
    declared_keys: tuple[Any, ...] = ()
    """Keys that are partitions of their own, in their canonical form."""
    hashed_partition_count: int = HASHED_PARTITIONS_DEFAULT
    """0 where every key is declared by construction (``to_stateful``)."""
    upgrade: Callable[[Any], Any] | None = None
    """Makes an object of a checkpoint, in which the state had another form, into one of now."""


@dataclass(frozen=True, slots=True)
class Step:
    """One computation of the application in its place."""

    id: StepId
    name: str
    function: Callable[..., Any]
    """The user's own function: ``f(record)``, or ``f(record, state)`` where ``state`` is set."""
    is_multi: bool = False
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The place before a stage where records change worker."""

    edge: EdgeId
    kind: ExchangeKind
    state: str | None = None
    partition: Callable[[Any], Any] | None = None
    """Record to key; ``None`` sends every record to ``CONSTANT_KEY``."""
    partition_name: str = ""
    payload_may_travel: bool = False
    """Nothing but the decoder stands before it, so the owner can decode the payload again."""
    payload_key: PayloadKey | None = None
    """Payload to key, instead of ``partition``: only the owner of the key decodes a record."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that run one after the other where the record is."""

    exchange: Exchange | None
    """``None`` for the first stage, which the source feeds."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One source, its stages, and where their results go."""

    name: str
    source: Source
    stages: tuple[Stage, ...]
    sinks: tuple[SinkId, ...]
    """Empty where the pipeline ends in ``done()``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An application, ready to run. ``stages`` are reached by ``(pipeline, stage)`` index."""

    application: str
    pipelines: tuple[Pipeline, ...]
    states: dict[str, State]
    sinks: tuple[Sink, ...]
    """Indexed by ``SinkId``; one for each place of use, also where two have one address."""
    serialize: Callable[[Any], bytes] | None = None
    """The application's own serialisation of records that travel as objects; ``None``: pickle."""
    deserialize: Callable[[bytes], Any] | None = None
