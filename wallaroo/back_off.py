"""Pauses that double with each failure in a row."""

DOUBLINGS_MAX = 10
"""Failures may go on for days, and the pause has its limit long before."""


def doubled_s(failure_count: int, first_s: float, most_s: float) -> float:
    """Return the pause after so many failures in a row: ``first_s`` after one, at most ``most_s``,
    and none without a failure."""
    if not failure_count:
        return 0.0
    return min(first_s * float(1 << min(failure_count - 1, DOUBLINGS_MAX)), most_s)
