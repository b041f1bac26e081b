"""What is saved and what is shown of the clocks of one worker."""

from typing import Any

from wallaroo.operators.timed_states import TimedStates
from wallaroo.runtime.clocks import Clocks
from wallaroo.timing.instants import END, shown_ns


def saved_vectors(clocks: Clocks) -> dict[str, list[list[int | str]]]:
    """Return, by state, the last watermark of each sender: edge, worker, time and status.

    Senders inside this worker are left out: a restore has no use for them.
    """
    return {
        state: [
            [sender.place, sender.worker, mark.time, int(mark.status)]
            for sender, mark in clock.vector.items()
            if sender.place >= 0
        ]
        for state, clock in clocks.states.items()
    }


def clock_facts(clocks: Clocks, timed: TimedStates, now_ns: int) -> list[dict[str, Any]]:
    """Return, for each timed state: how far its clock is here, and the sources that move it.

    ``clock_ns`` is ``None`` before the first watermark, and ``ended`` says that it is at its end.
    """
    sources = clocks.source_facts(now_ns)
    return [
        {
            "state": state,
            "clock_ns": shown_ns(clock.time),
            "ended": clock.time == END,
            "due": timed.has_due(state),
            **_figures(timed, state),
            "sources": sources[state],
        }
        for state, clock in clocks.states.items()
    ]


def _figures(timed: TimedStates, state: str) -> dict[str, Any]:
    figures = timed.figures(state)
    return {
        "open": figures.open_count,
        "late": figures.late_count,
        "fired": dict(figures.fired_counts),
    }
