"""Writes the coordinator's decisions into the event history, which people read afterwards.

An entry is only what explains a change in a chart: a loss and the recovery after it, a resize, a
failed checkpoint, the start and the stop. The steps in between are in the log. To keep more in the
history, add a case here, under the name of its log event.
"""

from collections.abc import Callable, Mapping
from typing import Any

from wallaroo.coordinator.events import Announce, Effect, Publish
from wallaroo.metrics.event_history import EventHistory


class Chronicle:
    """The event history of one run. ``clock_s`` returns seconds from any origin."""

    def __init__(self, events: EventHistory, clock_s: Callable[[], float]) -> None:
        self._events = events
        self._clock_s = clock_s
        self._lost_s: float | None = None
        """When the first worker was lost after the cluster last ran."""
        self._resize: Mapping[str, Any] = {}

    def on_effect(self, effect: Effect) -> None:
        """Note a decision of the coordinator, if it belongs in the history."""
        match effect:
            case Publish(epoch, is_again):
                self._published(epoch, is_again=is_again)
            case Announce("worker.lost", values):
                if self._lost_s is None:
                    self._lost_s = self._clock_s()
                text = f"worker {values['worker']} was lost: {values['reason']}"
                self._events.add("worker.lost", text, values, level="warning")
            case Announce("cluster.resizing", values):
                self._resize = values
            case Announce("cluster.resized", values):
                self._resized(values)
            case Announce("cluster.resize_aborted", values):
                text = f"a resize was aborted: {values['reason']}"
                self._events.add("cluster.resize_aborted", text, values, level="warning")
            case Announce("checkpoint.failed", values):
                # Without the count, so that failures in a row are one entry.
                text = f"a checkpoint failed: {values['reason']}"
                self._events.add("checkpoint.failed", text, level="warning")
            case Announce("journals.lost", values):
                text = f"input was lost with journal {values['journal']} of {values['worker']}"
                self._events.add("journals.lost", text, values, level="error")
            case Announce("cluster.draining"):
                self._events.add(
                    "cluster.draining", "the cluster processes what it accepted and stops"
                )

    def _published(self, epoch: int, *, is_again: bool) -> None:
        if not is_again:
            self._events.add("application.ready", "the application is ready", {"epoch": epoch})
        elif self._lost_s is not None:
            took_s = self._clock_s() - self._lost_s
            text = f"recovered: records are accepted again, {took_s:.1f} s after the loss"
            facts = {"epoch": epoch, "took_s": round(took_s, 3)}
            self._events.add("application.ready_again", text, facts)
        self._lost_s = None

    def _resized(self, values: Mapping[str, Any]) -> None:
        changes = [
            f"{self._resize[name]} {verb}"
            for name, verb in (("joining", "joined"), ("leaving", "left"))
            if self._resize.get(name)
        ]
        text = f"resized: {'; '.join(changes)}; the workers are {values['workers']}"
        self._events.add("cluster.resized", text, {**self._resize, **values})
