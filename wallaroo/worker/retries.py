"""How long to wait before a request to a target, or to the store, is repeated."""

AGAIN_FIRST_S = 0.05
AGAIN_MAX_S = 5.0


def retry_pause_s(failure_count: int) -> float:
    """Return how long to wait before a request that has failed so often in a row is repeated.

    The pause doubles with each failure, up to a limit.
    """
    if not failure_count:
        return 0.0
    # The exponent is bounded, since a target may be away for days.
    factor = 1 << min(failure_count - 1, 10)
    return min(AGAIN_FIRST_S * factor, AGAIN_MAX_S)
