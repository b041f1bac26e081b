"""Decides how many records to process before the event loop polls the sockets again."""

SLICE_S = 0.002
"""Time that one slice should take. It is short enough for latency and for a responsive event loop
with computations of any cost. It is long enough that, with small functions, a slice has 500 to
2,000 records, for which batches across an exchange are cheapest (measured)."""

RECORDS_MIN = 1
RECORDS_FIRST = 64
RECORDS_MAX = 2000


class Pacer:
    """Adapts the size of a slice to the cost of the previous ones."""

    def __init__(self) -> None:
        self.record_count = RECORDS_FIRST

    def begin_again(self) -> None:
        """Expect records to take more time than before: the next slice is a small one."""
        self.record_count = min(self.record_count, RECORDS_FIRST)

    def observe(self, record_count: int, elapsed_s: float) -> None:
        """Note that ``record_count`` records took ``elapsed_s``."""
        if record_count == 0:
            return
        fitting = int(record_count * SLICE_S / elapsed_s) if elapsed_s > 0 else RECORDS_MAX
        # At most twice as many as in this slice: a few fast records say little about thousands.
        self.record_count = max(RECORDS_MIN, min(fitting, 2 * max(record_count, 32), RECORDS_MAX))
