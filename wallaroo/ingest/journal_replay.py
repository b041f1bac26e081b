"""Replays journals: what was read before a failure and follows the checkpoint."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from wallaroo.checkpoint.blocks import BLOCK_HEAD_BYTES
from wallaroo.checkpoint.journal import Entry
from wallaroo.checkpoint.journal_progress import JournalProgress
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.runtime.clocks import ReplayedChannel
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo.topology.plan import Application

Replay = tuple[Iterable[Entry], JournalProgress]
"""The entries of a journal to replay, and the progress of that."""


class ReplayEvents(Protocol):
    """What a replay reports."""

    def replay_finished(self, journal_count: int, record_count: int) -> None:
        """Everything is replayed and processed."""
        ...

    def replay_failed(self, error: WallarooError) -> None:
        """A later entry of a journal cannot be read; for the first one ``start`` raises."""
        ...


class ReplayRunner:
    """All journals that one worker has to replay, one after the other."""

    def __init__(self, plan: Application, engine: Engine, events: ReplayEvents) -> None:
        self._plan = plan
        self._engine = engine
        self._events = events
        self._entries: Iterator[tuple[JournalProgress, Entry]] = iter(())
        self._progress: JournalProgress
        self._entry: Entry
        self._payloads: list[Any] = []
        self._position = 0
        self._has_failed = False
        self._journal_count = 0
        self._record_count = 0

    def start(self, journals: list[Replay]) -> None:
        """Replay these journals. Raises ``WallarooError`` if the first entry cannot be read."""
        self._entries = _all_entries(journals)
        self._journal_count = len(journals)
        self._record_count = 0
        self._next_entry()
        if self._payloads:
            self._engine.source_ready(self)
        else:
            self._finish()

    def _next_entry(self) -> None:
        self._payloads = []
        self._position = 0
        for progress, entry in self._entries:
            self._progress, self._entry = progress, entry
            if entry.pipeline < len(self._plan.pipelines):
                self._payloads = self._cut(entry)[entry.skip :]
                self._record_count += len(self._payloads)
                return
            # The application no longer has this pipeline, and the user chose to drop its input.
            progress.mark_taken(entry.offset, entry.record_count - entry.skip)

    def _cut(self, entry: Entry) -> list[Any]:
        pipeline = self._plan.pipelines[entry.pipeline]
        try:
            payloads = pipeline.source.journalled(entry.frames)
        except ValueError:
            payloads = []
        if len(payloads) != entry.record_count:
            raise ConfigError(
                f"journal {self._progress.journal}, byte {entry.offset}: the {entry.record_count} "
                f"records there do not match the present framing of pipeline {pipeline.name!r}",
                hint="restore the source's framing and the decoder's header as they were; both can "
                "be changed after an orderly stop, which leaves no records in journals",
            )
        return payloads

    # For the engine

    delivered_ns = 0
    """Not measured: these records were delivered to an earlier process."""

    @property
    def origin(self) -> Origin:
        """Where and when the next records were read, by an earlier process."""
        number, read_ns = self._entry.origin or (0, 0)
        return Origin(ReplayedChannel(self._progress.journal, number), read_ns)

    @property
    def pipeline(self) -> int:
        """The pipeline that the next records are for."""
        return self._entry.pipeline

    @property
    def has_records(self) -> bool:
        """Whether there is anything left."""
        return self._position < len(self._payloads)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next payloads, all of one pipeline."""
        start = self._position
        payloads = self._payloads[start : start + record_count_max]
        self._position += len(payloads)
        self._progress.mark_taken(self._entry.offset, len(payloads))
        if not self.has_records:
            try:
                self._next_entry()
            except WallarooError as error:
                self._has_failed = True
                self._events.replay_failed(error)
        return payloads

    def batch_consumed(self) -> None:
        """Report the end of the replay, unless it has failed."""
        if not self._has_failed:
            self._finish()

    def _finish(self) -> None:
        self._events.replay_finished(self._journal_count, self._record_count)


def _all_entries(journals: list[Replay]) -> Iterator[tuple[JournalProgress, Entry]]:
    for reader, progress in journals:
        for entry in reader:
            end = entry.offset + BLOCK_HEAD_BYTES + entry.head_bytes + len(entry.frames)
            progress.appended(entry.offset, end, entry.record_count, entry.skip)
            yield progress, entry
        progress.mark_complete()
