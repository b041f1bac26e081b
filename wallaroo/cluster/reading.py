"""What one connection of a source has read, written down where that is asked for, and not taken.

At most one piece of the stream is here: no more is read until the engine has taken it.
"""

from wallaroo.checkpoint.journaling import Journal
from wallaroo.codec.framing import LengthFramer


class Reading:
    """The payloads of one piece; what is unfinished at its end waits in the ``framer``."""

    def __init__(self, pipeline: int, framer: LengthFramer, journal: Journal | None) -> None:
        self.framer = framer
        self._pipeline = pipeline
        self._journal = journal
        self._payloads: list[bytes] = []
        self._position = 0
        self._entry = 0
        """Offset of the payloads' entry in the journal."""
        self._is_written_down = False

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._position < len(self._payloads)

    def receive_data(self, data: bytes) -> bool:
        """Cut the next piece into payloads; say whether there are any, to be written down."""
        assert not self.has_records, "the piece before is not taken yet"
        self._payloads = self.framer.receive_data(data)
        self._position = 0
        self._is_written_down = False
        return bool(self._payloads)

    def write_down(self) -> None:
        """Put the payloads into the journal; only then may they be taken. Raises ``StoreError``."""
        if self._journal is not None:
            self._entry = self._journal.append(
                self._pipeline, len(self._payloads), self.framer.frames
            )
        self._is_written_down = True

    def take(self, record_count_max: int) -> list[bytes]:
        """Return the next payloads."""
        start = self._position
        self._position = min(start + record_count_max, len(self._payloads))
        if self._journal is not None:
            self._journal.took(self._entry, self._position - start)
        if start == 0 and self._position == len(self._payloads):
            return self._payloads
        return self._payloads[start : self._position]

    @property
    def will_come_again(self) -> bool:
        """Whether payloads wait that stand in the journal, and so come again by its replay."""
        return self.has_records and self._is_written_down

    def forget(self) -> None:
        """Everything is taken, or to be given up."""
        self._payloads = []
        self._position = 0
