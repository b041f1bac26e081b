"""What requests to a run have in common: when they are possible, and a wait for a checkpoint.

A request is a coroutine that is bound to no event loop. It looks at the run, waits for a change,
and looks again.
"""

from collections.abc import Sequence
from typing import Protocol

from wallaroo.coordinator.cluster_state import Phase
from wallaroo.coordinator.events import CheckpointDue, Effect, Event
from wallaroo.coordinator.run_view import RunView
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch

PHASES_AT_THE_END = (Phase.DRAINING, Phase.DRAINED, Phase.STOPPED)


def may_matter(event: Event | None, effects: Sequence[Effect]) -> bool:
    """Return whether requests have to look at the run again after a step.

    They order checkpoints, sometimes in vain. If that woke them, two of them would wake each other
    again and again.
    """
    return bool(effects) or not isinstance(event, CheckpointDue)


class RequestedRun(Protocol):
    """The run as a request sees it."""

    @property
    def view(self) -> RunView:
        """What is known about the run from its events."""
        ...

    @property
    def phase(self) -> Phase:
        """The phase of the cluster."""
        ...

    @property
    def epoch(self) -> Epoch:
        """The current epoch."""
        ...

    @property
    def is_resizing(self) -> bool:
        """Whether a resize is under way."""
        ...

    @property
    def is_durable(self) -> bool:
        """Whether checkpoints are on."""
        ...

    def on_event(self, event: Event, /) -> None:
        """Carry out what follows from an event."""
        ...

    async def change(self) -> None:
        """Wait for the next change. Raises ``ClusterError`` once the run is over."""
        ...


def check_phase(run: RequestedRun, what: str, *allowed: Phase) -> None:
    """Raise ``ClusterError`` if ``what`` is not possible in the cluster's phase."""
    phase = run.phase
    if phase in allowed:
        return
    hint = (
        "it takes no more records; the next run can do that"
        if phase in PHASES_AT_THE_END
        else "wait until it runs again; wallaroo-cluster status shows it"
    )
    raise ClusterError(f"{what} is not possible now: the cluster is {phase.value}", hint=hint)


async def take_checkpoint(run: RequestedRun) -> None:
    """Return once a checkpoint is committed that starts after this call."""
    rounds = run.view.rounds
    check_phase(run, "a checkpoint", Phase.RUNNING)
    before = rounds.last
    while rounds.committed <= before:
        if rounds.failed > before:
            raise ClusterError(f"the checkpoint could not be saved: {rounds.reason}")
        if run.phase in (Phase.DRAINING, Phase.DRAINED):
            raise ClusterError(
                "the cluster is stopping, and its last checkpoint is saved with that"
            )
        if not rounds.is_under_way and run.phase is Phase.RUNNING:
            run.on_event(CheckpointDue())
        await run.change()
