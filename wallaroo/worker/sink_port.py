"""What a worker's machines need from its sinks, real or simulated.

A `SinkRunner` does the work of one sink. It is made from the sink's value in the plan, by the
function that the value names, and nothing else knows its class.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from wallaroo.checkpoint.manifest import Prepared, SinkShare
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.checkpoint.store import ObjectStore
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, SinkId, WorkerName
from wallaroo.operators.failures import Failure
from wallaroo.worker.outbox import Outbox, OutboxLimits, OutboxOwner

FinishCut: TypeAlias = Callable[[], Awaitable[SinkShare]]
"""Waits until a crash cannot lose what was before a cut; returns what the checkpoint has to name.

It need not be called, because the epoch may end first.
"""


class SinkEvents(Protocol):
    """What the sinks report to their worker."""

    def backlog_changed(self) -> None:
        """A sink has accepted something."""
        ...

    def records_refused(self, sink: SinkId, failures: list[Failure]) -> None:
        """A sink refuses these records for good."""
        ...

    def sink_failed(self, error: WallarooError) -> None:
        """A sink cannot be written, so the run cannot go on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """What the runner of a sink knows of its worker."""

    index: SinkId
    """The position of the sink in the plan."""
    name: str
    """The name that the user gave the sink, or ``sink N``."""
    pipeline: str
    """The name of the pipeline that ends in this sink."""
    worker: WorkerName
    events: SinkEvents
    application: str = ""
    """The name of the application, for names in the target."""
    folder: str = ""
    """Where relative paths start."""
    stage: str | None = None
    """A name that only this process of this worker has; ``None`` if checkpoints are off."""
    store: ObjectStore | None = None
    """The store of checkpoints; ``None`` if they are off."""
    give_back: Callable[[list[Any]], list[tuple[Any, BaseException]]] | None = None
    """Gives rows to the program that runs the cluster; ``None`` if a command does.

    Returns rows that cannot be given, with what was raised.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSetup:
    """What a runner needs for the outbox of one incarnation of its worker."""

    owner: OutboxOwner
    slot_of: Callable[[str], str]
    """Returns the name of the slot of a worker, as the target knows it."""
    pickler: StatePickler
    limits: OutboxLimits
    progressed: Callable[[], None]
    """To be called with each ``OutboxPorts.progressed``."""


class OutboxRunner(Protocol):
    """A runner that delivers results after their checkpoint, exactly once."""

    def new_outbox(self, setup: OutboxSetup) -> Outbox:
        """Return an outbox that this runner serves from now on, instead of the one before."""
        ...


class PreparingRunner(Protocol):
    """A runner that prepares results at barriers, and commits them with their checkpoint."""

    def begin(self, slot_of: Callable[[str], str], start: PreparedStart) -> None:
        """Begin with what a manifest names; ``connected`` waits until that is committed."""
        ...

    def inherit(self, prepared: Sequence[Prepared]) -> None:
        """List what a worker that has left has prepared in the next checkpoint."""
        ...

    def give_away(self) -> None:
        """Leave what no checkpoint names to the successor of this worker."""
        ...


class SinkStream(Protocol):
    """A sink to which a worker writes results while records flow.

    After a resize, new results of a key wait until its old owner has delivered the earlier ones.
    """

    @property
    def written_bytes(self) -> int:
        """How many bytes were ever written to this sink."""
        ...

    @property
    def settled_bytes(self) -> int:
        """How many of these bytes the sink has acknowledged."""
        ...

    def settle(self) -> None:
        """Find out what the sink has acknowledged."""
        ...

    def hold(self, number: int) -> None:
        """Hold back what is written from now on, until ``release(number)``."""
        ...

    def release(self, number: int) -> None:
        """Write what this hold keeps back, once no earlier hold does."""
        ...

    def drop_held(self) -> None:
        """Forget everything that is held back, since a replay produces it again."""
        ...


class SinkRunner(Protocol):
    """One sink of one worker."""

    @property
    def stream(self) -> SinkStream | None:
        """How results stay in order when keys change their worker; ``None``: by their cuts."""
        ...

    @property
    def outbox(self) -> OutboxRunner | None:
        """How results are exactly once; ``None`` if they are written or staged as they come."""
        ...

    @property
    def preparing(self) -> PreparingRunner | None:
        """How results are prepared and committed; ``None`` if they are not."""
        ...

    @property
    def settled_bytes(self) -> int:
        """How many of all bytes ever written the sink has, or were given up."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for the sink; too many pause the sources."""
        ...

    def write(self, rows: list[Any]) -> int:
        """Queue rows; return how many bytes they count as.

        The list is valid only during the call.
        """
        ...

    async def connected(self) -> None:
        """Wait until the sink is connected."""
        ...

    def settle(self) -> None:
        """Find out what the sink has acknowledged."""
        ...

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Make everything written so far part of ``checkpoint``."""
        ...

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Make sure that what any worker writes from now on follows what was written so far.

        A sink with a ``stream`` has nothing to do.
        """
        ...

    def committed(self, checkpoint: CheckpointId) -> None:
        """Note that the checkpoint is committed."""
        ...

    async def discard(self) -> None:
        """Discard all output that belongs to no checkpoint and is not visible yet."""
        ...

    async def flush(self) -> None:
        """Wait until the sink has everything."""
        ...

    def close(self) -> None:
        """Close the sink, which has everything."""
        ...


async def nothing_to_name() -> SinkShare:
    """Return the share of a sink of which checkpoints name nothing, at once."""
    return SinkShare()


def cut_outbox(
    outbox: Outbox,
    checkpoint: CheckpointId,
    is_complete: Callable[[], bool],
    until: Callable[[Callable[[], bool]], Awaitable[None]],
) -> FinishCut:
    """End the batch of ``outbox`` before a barrier; ``until`` waits for ``is_complete``."""
    outbox.cut(checkpoint)

    async def finish() -> SinkShare:
        await until(is_complete)
        return SinkShare(outbox=outbox.uncommitted())

    return finish
