"""How long to wait before a request to a target, or to the store, is repeated."""

from wallaroo.back_off import doubled_s

AGAIN_FIRST_S = 0.05
AGAIN_MAX_S = 5.0


def retry_pause_s(failure_count: int) -> float:
    """Return how long to wait before a request that has failed so often in a row is repeated."""
    return doubled_s(failure_count, AGAIN_FIRST_S, AGAIN_MAX_S)
