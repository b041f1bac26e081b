"""How far a worker is in a journal: which of its records it has taken into processing.

An entry of the journal holds what one read of one connection returned. Connections take turns, so
the records that were taken are not simply all records up to some offset.
"""

from collections import OrderedDict
from collections.abc import Mapping

from wallaroo.checkpoint.manifest import JournalPosition


class JournalProgress:
    """The progress in one journal that is written or replayed here.

    A replay begins at `offset`, and skips what is `done`.
    """

    def __init__(
        self, journal: str, offset: int = 0, done: Mapping[int, int] | None = None, end: int = 0
    ) -> None:
        """``end`` is an offset that the journal is known to have reached before."""
        self.journal = journal
        self._known_end = end
        self._done_before = dict(done or {})
        """For entries that the replay has not reached yet, and for those that it skips."""
        self._end = offset
        self.end: int | None = None
        """Where the journal ends; ``None`` while that is not known."""
        self._entries: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """By offset: records taken, and all records. The first entry is unfinished."""

    def appended(self, offset: int, end: int, record_count: int, taken_count: int = 0) -> None:
        """Add an entry from ``offset`` to ``end``, the last one so far."""
        self._entries[offset] = (taken_count, record_count)
        self._end = end
        self._forget_finished()

    def mark_complete(self) -> None:
        """Note that a replay has seen all entries and that none will be added."""
        self.end = self._end

    def mark_taken(self, offset: int, record_count: int) -> None:
        """Note that this many more records of the entry at ``offset`` are taken."""
        taken_count, total_count = self._entries[offset]
        self._entries[offset] = (taken_count + record_count, total_count)
        self._forget_finished()

    def position(self, *, is_closed: bool = False) -> JournalPosition:
        """Return where a replay has to begin, and what it has to skip behind that.

        ``is_closed`` says that nothing is added to the journal any more.
        """
        offset = next(iter(self._entries), self._end)
        done = {at: taken for at, taken in self._done_before.items() if at >= offset}
        done |= {at: taken for at, (taken, _) in self._entries.items() if taken}
        end = max(self._end, self._known_end)
        return JournalPosition(self.journal, offset, done, end, is_closed and not self._entries)

    def _forget_finished(self) -> None:
        while self._entries:
            offset = next(iter(self._entries))
            taken_count, total_count = self._entries[offset]
            if taken_count < total_count:
                return
            del self._entries[offset]
