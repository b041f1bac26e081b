"""One channel of a source: a connection, a file or a split, which has an order of its own."""


class Channel:
    """One channel: the highest time of its records, and until when it counts."""

    __slots__ = ("counts_until_ns", "top")

    def __init__(self, top: int) -> None:
        self.top = top
        self.counts_until_ns: int | None = None
        """``None`` before its first record: it does not count yet."""

    def counts(self, now_ns: int) -> bool:
        """Return whether the source waits for it."""
        return self.counts_until_ns is not None and now_ns < self.counts_until_ns

    def processed(self, highest: int, silent_at_ns: int) -> None:
        """Note the highest time of some more records."""
        self.top = max(self.top, highest)
        self.counts_until_ns = silent_at_ns

    def wait(self, silent_at_ns: int) -> None:
        """Count for longer if it counts at all: nobody has read it."""
        if self.counts_until_ns is not None:
            self.counts_until_ns = max(self.counts_until_ns, silent_at_ns)

    def leave(self, counts_until_ns: int) -> None:
        """Note that nothing more will come from it here."""
        if self.counts_until_ns is not None:
            self.counts_until_ns = counts_until_ns
