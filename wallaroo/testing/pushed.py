"""Simulated brokers, which push records to workers until they are acknowledged.

A real broker pushes a record again if its acknowledgement was lost after the record was written to
the journal, and the record then counts twice. To make it known how often each record counts, this
broker reads the journals: it pushes again only what is in none. What it never does, as no broker
does, is to push again what was acknowledged.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from wallaroo.checkpoint.journal import EntryOrigin
from wallaroo.checkpoint.journaling import Journal
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.pushed_records import PushedRecords
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.testing.disk import Disk
from wallaroo.testing.journals import SimulatedJournal
from wallaroo.testing.loop import Loop, Process

PUSHED_EVERY_S = 0.08
PUSHED_MAX = 8
LOOKED_EVERY_S = 1.0
"""How often a broker looks whether records were lost with a disk, once it has pushed all."""
ACKNOWLEDGED_AT_ONCE = 0.7
ACKNOWLEDGED_AFTER_S = 0.1
DRAIN_POLL_S = 0.06


class Broker:
    """Has the records of one pipeline."""

    def __init__(
        self,
        number: int,
        records: Sequence[Any],
        loop: Loop,
        disk: Disk,
        problems: list[str],
    ) -> None:
        self.number = number
        """Its number among the senders of the run."""
        self._records = records
        self._loop = loop
        self._disk = disk
        self._problems = problems
        self._acknowledged: set[int] = set()
        self._inboxes: list[Inbox] = []
        self._connection_count = 0

    def payload(self, number: int) -> Any:
        """Return a record."""
        return self._records[number]

    @property
    def is_done(self) -> bool:
        """Whether every record is in a journal."""
        return len(self._disk.accepted_of(self.number)) == len(self._records)

    def begin(self) -> None:
        """Push from now on."""
        accepted = self._disk.accepted_of(self.number)
        lost = self._acknowledged - accepted - self._taken_back()
        if lost and not self._problems:
            what = f"record {min(lost)} of broker {self.number}"
            self._problems.append(f"{what} was acknowledged, and is in no journal")
        self._push()
        random = self._loop.random
        delay_s = LOOKED_EVERY_S if self.is_done else random.random() * PUSHED_EVERY_S
        self._loop.call_later(delay_s, self.begin)

    def _taken_back(self) -> set[int]:
        return {number for sender, number in self._disk.taken_back if sender == self.number}

    def _push(self) -> None:
        known = self._disk.accepted_of(self.number).union(*(each.coming for each in self._inboxes))
        known |= self._acknowledged - self._taken_back()
        missing = [number for number in range(len(self._records)) if number not in known]
        asking = [each for each in self._inboxes if each.records.may_receive]
        if missing and asking:
            count = self._loop.random.randint(1, PUSHED_MAX)
            self._loop.random.choice(asking).push(missing[:count])

    def connect(self, inbox: "Inbox") -> int:
        """Push to this worker as well; return the number of the connection, of no sender's."""
        self._inboxes.append(inbox)
        self._connection_count += 1
        return -self._connection_count

    def disconnect(self, inbox: "Inbox") -> None:
        """Push no more to this worker."""
        if inbox in self._inboxes:
            self._inboxes.remove(inbox)

    def acknowledge(self, numbers: Sequence[int]) -> None:
        """Never push these again. A crash of the machine must not lose them from now on."""
        self._acknowledged.update(numbers)
        for each in self._disk.accepted:
            journal = self._disk.journals.get(each.journal)
            is_durable = journal is None or each.end <= journal.synced
            if each.sender == self.number and not is_durable:
                for number in {*each.numbers}.intersection(numbers):
                    what = f"record {number} of broker {self.number}"
                    self._problems.append(f"{what} was acknowledged before it was durable")


class Inbox:
    """The pushed source of one pipeline on one worker, as ``SourceListener``."""

    end = None
    connection_count = 0

    def __init__(
        self,
        pipeline: int,
        process: Process,
        engine: Engine,
        intake: ReadBudget,
        broker: Broker,
        journal: tuple[Journal, SimulatedJournal],
    ) -> None:
        self.coming: list[int] = []
        """Numbers of the records that were received and are not in the journal."""
        self._process = process
        self._intake = intake
        self._broker = broker
        self._journal, self._writer = journal
        # It has what the records need of a journal.
        own = cast(Journal, self)
        self.records = PushedRecords(pipeline, engine, intake, own, self)
        self._connection = 0
        process.on_end.append(lambda: broker.disconnect(self))

    # As a source that listens

    async def listen(self, address: str) -> None:
        """Connect, and ask for records."""
        if not self._connection:
            self._intake.add(self.records)
            self._connection = self._broker.connect(self)
        self.records.open()

    def rewind(self) -> None:
        """Forget what is in the journal, which is replayed."""
        self.records.rewind()

    async def drain(self) -> None:
        """Wait until everything that was received is processed, then disconnect."""
        self.records.close()
        while not self.records.is_idle:
            await self._process.pause(DRAIN_POLL_S)
        self._disconnect()

    async def stop_accepting(self) -> None:
        """Ask for nothing until ``listen``."""
        self.records.close()

    def copies(self) -> Sequence[ConnectionCopy]:
        """Return nothing: the broker pushes to others by itself."""
        return ()

    def detach(self) -> None:
        """Disconnect; the broker pushes again what is in no journal."""
        self.records.close()
        self.records.drop_waiting()
        self._disconnect()

    def take_over(self, copy: ConnectionCopy) -> NoReturn:
        """Nothing is handed over."""
        raise AssertionError("pushed sources hand over no connections")

    def _disconnect(self) -> None:
        self._intake.remove(self.records)
        self._broker.disconnect(self)
        self._connection = 0

    def push(self, numbers: Sequence[int]) -> None:
        """Receive these records, as far as the worker asks for them."""
        self._process.run(lambda: self._receive(numbers))

    def _receive(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if self.records.may_receive:
                self.coming.append(number)
                self.records.received(self._broker.payload(number), number, None, None, 0)

    # The journal of these records

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        """Append an entry of records of this broker."""
        self._writer.set_origin(self._broker.number, self._connection, self.coming)
        return self._journal.append(pipeline, record_count, frames, origin)

    def mark_taken(self, offset: int, record_count: int) -> None:
        """Note what the engine has taken."""
        self._journal.mark_taken(offset, record_count)

    def sync(self) -> None:
        """Make durable what was appended."""
        self._journal.sync()

    # Called by the records

    def room_changed(self) -> None:
        """Do nothing: the broker looks by itself."""

    def safe(self, tags: list[Any]) -> None:
        """Acknowledge at once or after a while; the process may end before that."""
        random = self._process.loop.random
        if random.random() < ACKNOWLEDGED_AT_ONCE:
            self._broker.acknowledge(tags)
            return
        delay_s = random.random() * ACKNOWLEDGED_AFTER_S
        self._process.call_later(delay_s, lambda: self._broker.acknowledge(tags))

    def connect_again(self) -> NoReturn:
        """Nothing is given up where there is a journal."""
        raise AssertionError("these records are in a journal")

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` after a delay."""
        self._process.call_later(delay_s, callback)

    def waits_for_journal(self, error: StoreError) -> None:
        """Do nothing: the fault was injected."""
