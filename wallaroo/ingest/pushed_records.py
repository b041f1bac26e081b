"""What a pushed source delivered to one worker and the engine has not processed.

    received --> waiting --journal--> engine --> processed
                               |                    |
                    safe, if there is a journal     safe, if there is none

A delivery is *safe* when its tag may be acknowledged: the other side need not deliver it again.
Deliveries are collected while the engine works on those before, so that an entry of the journal has
many of them when it matters. What can go wrong:

* The journal cannot be written. Its records wait and the write is tried again; nothing is
  acknowledged, and the source is not asked for more once enough waits.
* The worker goes back to a checkpoint. What is in the journal comes again by its replay, even if it
  is not acknowledged yet. Without a journal everything that is not safe is given up, and the source
  is connected to anew, so that it delivers that again.
* The connection is lost. What waits is given up, since it will be delivered again. What is in the
  journal stays, and is processed once; if its acknowledgement was lost, it is delivered twice.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.connectors.pushed_frames import pack_delivery
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_reader import JOURNAL_RETRY_S, WaitingRecords
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine

WAITING_RECORDS_MAX = 2_000
WAITING_BYTES_MAX = 1 << 20
RECORD_BYTES = 256
"""What an object counts for in the read budget if there is no journal to pack it for."""


class PushedPorts(Protocol):
    """What the records of a pushed source ask of the runner."""

    def room_changed(self) -> None:
        """Ask the source for more, if ``may_receive``."""
        ...

    def safe(self, tags: list[Any]) -> None:
        """Acknowledge these deliveries."""
        ...

    def connect_again(self) -> None:
        """Connect anew: deliveries that are not acknowledged were given up."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call ``callback`` after a delay, and with 0 after what happens now."""
        ...

    def waits_for_journal(self, error: StoreError) -> None:
        """Report that the journal could not be written."""
        ...


class PushedRecords:
    """The deliveries of one source on one worker, as a reader of the read budget."""

    def __init__(
        self,
        pipeline: int,
        engine: Engine,
        intake: ReadBudget,
        journal: Journal | None,
        ports: PushedPorts,
    ) -> None:
        self._piece = WaitingRecords(self, pipeline, engine, intake, journal)
        self._intake = intake
        self._journal = journal
        self._ports = ports
        self._is_open = False
        self._records: list[Any] = []
        self._keys: list[Any] = []
        self._times: list[float | None] = []
        self._frames: list[bytes] = []
        self._tags: list[Any] = []
        self._byte_count = 0
        self._received_ns = 0
        """When the first of these arrived."""
        self._unsafe: list[Any] = []
        """Tags of the piece that the engine has, or of journal entries that are not durable."""

    # Called by the runner

    def open(self) -> None:
        """Ask for deliveries from now on."""
        self._is_open = True
        self._go_on()

    def close(self) -> None:
        """Ask for no more; what was received is processed."""
        self._is_open = False

    @property
    def may_receive(self) -> bool:
        """Whether the source may be asked for more."""
        return (
            self._is_open
            and not self._intake.is_full
            and len(self._records) < WAITING_RECORDS_MAX
            and self._byte_count < WAITING_BYTES_MAX
        )

    @property
    def is_idle(self) -> bool:
        """Whether everything that was received is processed."""
        return not self._records and not self._piece.has_records

    def received(self, record: Any, tag: Any, key: Any, time: float | None, now_ns: int) -> None:
        """Add a delivery. Raises ``UnjournalableRecordError``."""
        if self._journal is not None:
            frame = pack_delivery(record, key, time)
            self._frames.append(frame)
            self._byte_count += len(frame)
        else:
            self._byte_count += len(record) if isinstance(record, bytes) else RECORD_BYTES
        if not self._records:
            self._received_ns = now_ns
            # Others that are there already belong into the same entry of the journal.
            self._ports.call_later(0.0, self._pass_on)
        self._records.append(record)
        self._keys.append(key)
        self._times.append(time)
        self._tags.append(tag)

    def drop_waiting(self) -> None:
        """Give up what is not in the journal, because it will be delivered again."""
        self._records, self._keys, self._times = [], [], []
        self._frames, self._tags = [], []
        self._byte_count = 0

    def rewind(self) -> None:
        """Give up what will come again: by a replay of the journal, or from the source."""
        if self._journal is not None:
            self._piece.rewind()
            return
        self._unsafe = []
        self.drop_waiting()
        self._piece.rewind()
        self._ports.connect_again()

    # Called by the read budget

    def pause(self) -> None:
        """Do nothing: ``may_receive`` follows the budget."""

    def resume(self) -> None:
        """Go on, unless something else holds the source up."""
        self._go_on()

    # Called by the piece

    def batch_consumed(self) -> None:
        """Pass on what has arrived meanwhile."""
        if self._journal is None:
            tags, self._unsafe = self._unsafe, []
            if tags:
                # The engine hands output to the sinks at the end of its turn.
                self._ports.call_later(0.0, partial(self._ports.safe, tags))
        self._go_on()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Repeat a failed write to the journal after a delay."""

        def again() -> None:
            callback()
            self._check_journaled()

        self._ports.call_later(delay_s, again)

    def waits_for_journal(self, error: StoreError) -> None:
        """Report that the journal could not be written."""
        self._ports.waits_for_journal(error)

    # The way of a delivery

    def _go_on(self) -> None:
        self._pass_on()
        self._ports.room_changed()

    def _pass_on(self) -> None:
        """Pass what waits to the journal and the engine, unless these have something already."""
        if not self._records or self._piece.has_records or self._intake.is_full:
            return
        records = KeyedRecords(self._records, self._keys, self._times)
        frames, byte_count = b"".join(self._frames), self._byte_count
        self._unsafe += self._tags
        self._piece.arrived(self._received_ns)
        self.drop_waiting()
        self._piece.accept(records, byte_count, frames)
        self._check_journaled()
        self._ports.room_changed()

    def _check_journaled(self) -> None:
        """Make durable what is in the journal, and let it be acknowledged."""
        if self._journal is None or not self._piece.is_journaled or not self._unsafe:
            return
        try:
            self._journal.sync()
        except StoreError as error:
            self._ports.waits_for_journal(error)
            self._ports.call_later(JOURNAL_RETRY_S, self._check_journaled)
            return
        tags, self._unsafe = self._unsafe, []
        self._ports.safe(tags)
