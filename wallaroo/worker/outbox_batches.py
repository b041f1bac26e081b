"""The batches of an outbox: how results become the bytes of one, and where a made one is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.outbox_objects import OUTBOX_HEADER, encode_results
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.describing import error_text
from wallaroo.errors import WallarooError
from wallaroo.names import NO_BARRIER, CheckpointId

BLOCK_RECORDS_MAX = 1000


class MadeBatch:
    """A batch that is made: what manifests say of it, and where its bytes are."""

    def __init__(self, content: OutboxBatch, data: bytes | None) -> None:
        """Without `data` it is in the store, and an earlier process has made it."""
        self.content = content
        self.result_bytes = 0 if data is None else len(data) - len(OUTBOX_HEADER)
        """The bytes of results that were added here."""
        self.data = data
        """``None`` if it has to be read back from the store."""
        self.is_stored = data is None
        self.failure_count = 0
        self.error: WallarooError | None = None
        """Why it could not be stored since the last cut."""

    def forget_failures(self) -> None:
        """Let only failures from now on fail the share: the object is being put again."""
        self.error = None

    def cut_at(self, barrier: CheckpointId) -> None:
        """Make it part of this cut; ``NO_BARRIER`` leaves it to the next one."""
        self.content = replace(self.content, cut=barrier)

    def end_put(self, error: WallarooError | None) -> None:
        """Note how a put has ended."""
        self.error, self.is_stored = error, error is None
        self.failure_count += error is not None

    def drop_data(self) -> None:
        """Leave its bytes to the store."""
        assert self.is_stored
        self.data = None

    @property
    def order(self) -> tuple[CheckpointId, str, int]:
        """Its place in the order of delivery."""
        return self.content.cut, self.content.slot, self.content.number


class BatchInProgress:
    """The batch that is being filled. Results are pickled when they are added."""

    def __init__(
        self,
        pickler: StatePickler,
        bytes_max: int,
        results_max: int,
        full: Callable[[bytes, int], None],
        refuse: Callable[[Any, str], None],
    ) -> None:
        """``full`` gets the bytes of each batch that has reached a limit, and how many results it
        has; ``refuse`` gets each result that cannot be pickled, and why."""
        self._pickler = pickler
        self._bytes_max = bytes_max
        self._results_max = results_max
        self._full = full
        self._refuse = refuse
        self._blocks: list[bytes] = []
        self._block_bytes = len(OUTBOX_HEADER)
        self._record_count = 0
        self.added_bytes = 0
        """The bytes of all results that were ever added."""

    @property
    def byte_count(self) -> int:
        """The bytes of the batch so far; 0 if it has no results."""
        return self._block_bytes if self._blocks else 0

    def add(self, results: list[Any]) -> None:
        """Add results behind all others."""
        for first in range(0, len(results), BLOCK_RECORDS_MAX):
            self._add(results[first : first + BLOCK_RECORDS_MAX])

    def _add(self, results: list[Any]) -> None:
        try:
            block = encode_results(results, self._pickler)
        except BaseException as error:  # noqa: BLE001  how objects pickle is user code
            if len(results) == 1:
                self._refuse(results[0], f"it cannot be pickled: {error_text(error)}")
            else:
                self._add_halves(results)
            return
        size = len(block)
        if len(OUTBOX_HEADER) + size > self._bytes_max and len(results) > 1:
            self._add_halves(results)
            return
        if self._block_bytes + size > self._bytes_max:
            self.end()
        self._blocks.append(block)
        self._block_bytes += size
        self.added_bytes += size
        self._record_count += len(results)
        if self._block_bytes >= self._bytes_max or self._record_count >= self._results_max:
            self.end()

    def _add_halves(self, results: list[Any]) -> None:
        middle = len(results) // 2
        self._add(results[:middle])
        self._add(results[middle:])

    def end(self) -> None:
        """End the batch, if it has any results, and begin the next one."""
        if self._record_count:
            data, count = b"".join([OUTBOX_HEADER, *self._blocks]), self._record_count
            self.drop()
            self._full(data, count)

    def drop(self) -> None:
        """Forget the results of the batch."""
        self._blocks, self._block_bytes, self._record_count = [], len(OUTBOX_HEADER), 0


def cut_of(batches: Sequence[MadeBatch]) -> list[MadeBatch]:
    """Return the batches that are before a barrier that was cut at."""
    return [batch for batch in batches if batch.content.cut != NO_BARRIER]
