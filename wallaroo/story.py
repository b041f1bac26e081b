"""The last steps of a machine, kept so that a failure can be explained."""

from collections import deque

STEPS_MAX = 64
LINE_CHARS_MAX = 1000
"""An assignment names every partition; its beginning is enough."""


class Story:
    """The last steps of one machine, one line for each.

    A line is made when it is asked for: values that are noted must not change afterwards.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[object, ...]] = deque(maxlen=STEPS_MAX)

    def note(self, *parts: object) -> None:
        """Add a step; its line has these parts, one behind the other."""
        self._steps.append(parts)

    @property
    def lines(self) -> list[str]:
        """The last steps, oldest first."""
        return [_shortened(" ".join(map(str, parts))) for parts in self._steps]


def _shortened(line: str) -> str:
    return line if len(line) <= LINE_CHARS_MAX else f"{line[: LINE_CHARS_MAX - 3]}..."
