"""How a run is to end, as those who asked for it said."""

from dataclasses import dataclass

from wallaroo.coordinator.events import DrainRequested, StopRequested


@dataclass(slots=True)
class StopIntent:
    """What was asked for so far."""

    is_requested: bool = False
    """The sources are to be closed, and the rest finished."""
    stays_when_drained: bool = False
    """The processes are to stay then, until they are asked to stop."""
    _was_asked_here: bool = False

    @property
    def after_drain(self) -> str:
        """What follows when everything is delivered, for people."""
        return "the workers stay up" if self.stays_when_drained else "all processes end"

    def asked(self, event: StopRequested | DrainRequested) -> bool:
        """Somebody asks; return whether it is to be at once."""
        match event:
            case DrainRequested():
                self.stays_when_drained |= not self.is_requested
                return False
            case StopRequested(may_force):
                self.stays_when_drained = False
                is_second = may_force and self._was_asked_here
                self._was_asked_here |= may_force
                return is_second
