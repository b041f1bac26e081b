"""The plan that an application compiles to: immutable, and the same in every process.

A pipeline is a source followed by **stages**. Within a stage the steps are fused: a record runs
through all of them on its worker. Before each stage except the first is an **exchange**, where
records change worker. The sinks follow the last stage.

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
"""Number of partitions of a state for keys that are not declared."""

CONSTANT_KEY = "key"
"""The one key of a state that is not partitioned (``to_stateful``)."""


SOURCE_KEY = "source key"
"""The name of the key that a record has in its source, in plans and dead letters."""


class ExchangeKind(enum.Enum):
    """How an exchange chooses the worker for a record."""

    KEYED = "keyed"
    ROUND_ROBIN = "round robin"


@dataclass(frozen=True, slots=True)
class State:
    """State objects of one name, one for each key, created by ``create()`` on first use."""

    name: str
    create: Callable[[], Any]
    declared_keys: tuple[Any, ...] = ()
    """Keys that are partitions of their own, in canonical form."""
    hashed_partition_count: int = HASHED_PARTITIONS_DEFAULT
    """0 if every key is declared by construction (``to_stateful``)."""
    upgrade: Callable[[Any], Any] | None = None
    """Converts an object of a checkpoint, if the state had another form then."""


@dataclass(frozen=True, slots=True)
class Step:
    """One computation of the application at its position."""

    id: StepId
    name: str
    function: Callable[..., Any]
    """The user's own function: ``f(record)``, or ``f(record, state)`` if ``state`` is set."""
    is_multi: bool = False
    state: str | None = None
    always_changes: bool = False
    """With a state: whether it returns its result alone, and each call counts as a change."""

    @property
    def writer(self) -> str:
        """The module that writes its lines into chains, see ``wallaroo.operators.writing.steps``.

        It is named, since the plan is made before there is anything to write.
        """
        kind = "plain" if self.state is None else "state"
        return f"wallaroo.operators.writing.{kind}_step"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The point before a stage at which records change worker."""

    edge: EdgeId
    kind: ExchangeKind
    state: str | None = None
    partition: Callable[[Any], Any] | None = None
    """Record to key; ``None`` sends every record to ``CONSTANT_KEY``."""
    partition_name: str = ""
    payload_may_travel: bool = False
    """Whether only the decoder is before it, so that the owner can decode the payload again."""
    payload_key: PayloadKey | None = None
    """The key in the payload, instead of ``partition``: only the owner decodes a record."""
    by_source_key: bool = False
    """Whether records are routed by the keys that their source gives; only the owner decodes."""

    @property
    def is_before_decoder(self) -> bool:
        """Whether a record is routed before it is decoded, so that its payload always travels."""
        return self.payload_key is not None or (self.by_source_key and self.payload_may_travel)


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that run one after the other on the same worker."""

    exchange: Exchange | None
    """``None`` for the first stage, which follows the source."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One source, its stages, and its sinks."""

    name: str
    source: Source
    stages: tuple[Stage, ...]
    sinks: tuple[SinkId, ...]
    """Empty if the pipeline ends with ``done()``."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application, ready to run: what ``build()`` returns. Machines call it their plan.

    ``stages`` are reached by ``(pipeline, stage)`` index.
    """

    name: str
    pipelines: tuple[Pipeline, ...]
    states: dict[str, State]
    sinks: tuple[Sink, ...]
    """Indexed by ``SinkId``; one for each use, even if two have the same address."""
    serialize: Callable[[Any], bytes] | None = None
    """The application's own serialisation of records that travel as objects; ``None``: pickle."""
    deserialize: Callable[[bytes], Any] | None = None

    def sink_name(self, sink: SinkId) -> str:
        """Return the name of a sink in dead letters, logs and metrics."""
        return self.sinks[sink].name or f"sink {sink}"

    @property
    def stdin_pipeline(self) -> str | None:
        """The name of the pipeline that reads the standard input of the command, if one does."""
        names = [each.name for each in self.pipelines if each.source.reads_stdin]
        return names[0] if names else None
