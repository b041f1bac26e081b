"""Where records leave a pipeline for others."""

import enum


class Port(enum.Enum):
    """One way out of a pipeline; the value is what outlines call it."""

    END = "end"
    """Its end, or one of its branches."""
    FIRED = "fired"
    """What time causes at its last step: results of windows, of timers and of expired keys."""
    LATE = "late"
    """The late records of its last step, as they arrived."""
