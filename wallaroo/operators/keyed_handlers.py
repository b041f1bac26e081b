"""What time calls of a step: a timer, an alarm, or what is called for a key that expires."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wallaroo.topology.plan import Step


class HandlerKind(enum.Enum):
    """What calls it; the value is what dead letters and metrics show."""

    TIMER = "timer"
    ALARM = "alarm"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True)
class StepHandler:
    """One function of a step."""

    kind: HandlerKind
    name: str
    function: Callable[..., Any]
    step_name: str

    @property
    def site(self) -> str:
        """What a dead letter names."""
        if self.kind is HandlerKind.EXPIRY:
            return f"on_expire of {self.step_name}"
        return f"{self.kind.value} {self.name!r} of {self.step_name}"

    @property
    def loop(self) -> str:
        """The loop of its chain over what is due."""
        if self.kind is HandlerKind.EXPIRY:
            return "for key, state, time in due:"
        return "for key, time in due:"


def handlers_of(step: Step) -> Iterator[StepHandler]:
    """Yield the functions of a step."""
    assert step.timing is not None
    for kind, handlers in (
        (HandlerKind.TIMER, step.timing.timers),
        (HandlerKind.ALARM, step.timing.alarms),
    ):
        for each in handlers:
            yield StepHandler(kind, each.name, each.function, step.name)
    if step.timing.on_expire is not None:
        yield StepHandler(HandlerKind.EXPIRY, "", step.timing.on_expire, step.name)
