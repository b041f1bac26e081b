"""How far a worker has come in a journal: which of its records are taken into processing.

Connections take turns, and an entry of the journal holds what one read of one connection gave, so
the records that are taken are no plain beginning of the journal.
"""

from collections import OrderedDict
from collections.abc import Mapping

from wallaroo.checkpoint.manifest import JournalPosition


class JournalProgress:
    """One journal, written or replayed here; a replay begins at `offset`, as far as not `done`."""

    def __init__(
        self, journal: str, offset: int = 0, done: Mapping[int, int] | None = None, end: int = 0
    ) -> None:
        """``end`` is known to have been reached, whatever the replay has come to."""
        self.journal = journal
        self._known_end = end
        self._done_before = dict(done or {})
        """Holds for entries that the replay has not come to, and for those that it leaves out."""
        self._end = offset
        self.end: int | None = None
        """Where the journal ends; ``None`` as long as that is not known."""
        self._entries: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """By offset: records taken and records in all; the first one is not finished."""

    def appended(self, offset: int, end: int, record_count: int, taken_count: int = 0) -> None:
        """There is an entry at ``offset``, up to ``end``, the last one so far."""
        self._entries[offset] = (taken_count, record_count)
        self._end = end
        self._forget_finished()

    def ended(self) -> None:
        """A replay has seen all entries, and nobody adds any."""
        self.end = self._end

    def took(self, offset: int, record_count: int) -> None:
        """So many more records of the entry at ``offset`` are taken."""
        taken_count, total_count = self._entries[offset]
        self._entries[offset] = (taken_count + record_count, total_count)
        self._forget_finished()

    def position(self, *, is_closed: bool = False) -> JournalPosition:
        """Return what a replay has to know: where to begin, and what behind that to leave out.

        ``is_closed`` says that nobody adds to the journal any more.
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
