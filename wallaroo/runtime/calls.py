"""Calls of user code that take time."""

from collections.abc import Callable
from typing import Any, Protocol

from wallaroo.runtime.held import Failed, Held
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Waiting

Ended = Callable[[Any, BaseException | None], None]
"""Gets what a call has returned, or the error that it has raised."""


class Call:
    """A call for one record, or for several."""

    __slots__ = ("_cancel", "attempts", "begun_s", "deadline_s", "held", "is_running")

    def __init__(self, held: list[Held], deadline_s: float | None) -> None:
        self.held = held
        self.deadline_s = deadline_s
        self.attempts = 0
        self.begun_s = 0.0
        """When the last attempt began."""
        self.is_running = False
        self._cancel: Callable[[], object] | None = None

    def begin(self, now_s: float) -> None:
        """Note that an attempt begins."""
        self.attempts += 1
        self.begun_s = now_s
        self.is_running = True

    def cancel_with(self, cancel: Callable[[], object]) -> None:
        """Use this to cancel the attempt that has begun."""
        self._cancel = cancel

    def end(self) -> None:
        """Note that the attempt has ended."""
        self.is_running = False
        self._cancel = None

    def cancel(self) -> None:
        """Cancel the attempt, if there is one."""
        if self.is_running and self._cancel is not None:
            self._cancel()


class Calls(Protocol):
    """Makes the calls that take time."""

    def start(
        self,
        step: Step,
        function: Callable[[Any], Any],
        argument: Any,
        ended: Ended,
        call: Call,
        /,
    ) -> Callable[[], object]:
        """Call the step's function and report how that ends, now or later, on the worker's thread.

        This is an attempt of ``call``. Return what cancels it. An attempt that is cancelled may be
        reported or not.
        """
        ...


def outcome_of_timeout(how: Waiting, record: Any) -> Any:
    """Return the outcome of a record whose call has taken too long."""
    if how.on_timeout is None:
        return Failed(TimeoutError(f"there was no answer within {how.timeout_s:g} s"))
    try:
        return how.on_timeout(record)
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        return Failed(error)
