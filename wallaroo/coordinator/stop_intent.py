"""Keeps how a run should end, according to the requests so far."""

import enum
from dataclasses import dataclass

from wallaroo.coordinator.events import DrainRequested, StopRequested


class AtStop(enum.Enum):
    """What a stop does with windows that are open and timers that are pending; the value is what
    users write.

    At the end of the input nothing follows, and they fire whatever is chosen here.
    """

    AUTO = "auto"
    """Keep them if checkpoints are on, for the next run; otherwise fire them."""
    KEEP = "keep"
    """Fire nothing; without checkpoints they are dropped."""
    FLUSH = "flush"
    """Fire them, also if a checkpoint could keep them."""


@dataclass(slots=True)
class StopIntent:
    """The requested end of a run."""

    is_requested: bool = False
    """Whether the sources should be closed and the rest finished."""
    stays_when_drained: bool = False
    """Whether the processes should stay after that, until a stop is requested."""
    _was_asked_here: bool = False

    @property
    def after_drain(self) -> str:
        """What happens after everything is delivered, for log lines."""
        return "the workers stay up" if self.stays_when_drained else "all processes end"

    def begin(self) -> None:
        """Note that the sources are being closed, or soon will be."""
        self.is_requested = True

    def asked(self, event: StopRequested | DrainRequested) -> bool:
        """Add a request; return whether it stops the cluster immediately."""
        match event:
            case DrainRequested():
                self.stays_when_drained |= not self.is_requested
                return False
            case StopRequested(may_force):
                self.stays_when_drained = False
                is_second = may_force and self._was_asked_here
                self._was_asked_here |= may_force
                return is_second
