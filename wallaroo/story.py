"""The last steps of a machine, kept so that a failure can be explained."""

from collections import deque

STEPS_MAX = 64
LINE_CHARS_MAX = 1000
"""A longer line is cut. An assignment names every partition, for example."""


class Story:
    """The last steps of one machine, one line for each.

    Lines are written only when ``lines`` is read, so values that are noted must not change.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[object, ...]] = deque(maxlen=STEPS_MAX)

    def note(self, *parts: object) -> None:
        """Add a step, whose line consists of these parts."""
        self._steps.append(parts)

    @property
    def lines(self) -> list[str]:
        """The last steps, oldest first."""
        return [_shortened(" ".join(map(str, parts))) for parts in self._steps]


def _shortened(line: str) -> str:
    return line if len(line) <= LINE_CHARS_MAX else f"{line[: LINE_CHARS_MAX - 3]}..."
