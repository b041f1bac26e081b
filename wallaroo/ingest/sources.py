"""All sources of one worker, driven as one: listening ones, placed ones, those that are read by
split, and replays of journals.

What is in journals precedes what senders send meanwhile, so senders are not read during a replay.
"""

from collections.abc import Mapping
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.ingest.journal_replay import Replay, ReplayRunner
from wallaroo.ingest.listening_sources import ListeningSources
from wallaroo.ingest.read_budget import HoldReason
from wallaroo.ingest.source_ports import PlacedSource, SourceEvents, SourceListener, SourcePorts
from wallaroo.ingest.split_sources import SplitSources


class Sources:
    """All sources of one worker; the index of a pipeline is that of its source."""

    def __init__(self, ports: SourcePorts, events: SourceEvents) -> None:
        self._ports = ports
        self._events = events
        self.senders = ListeningSources(ports)
        self.splits = SplitSources(ports)
        self._is_draining = False
        """Whether the sources are closed for good."""
        self._positions: Mapping[int, Any] = {}
        self._replays: list[Replay] = []
        self._placed: dict[int, PlacedSource] = {}

    @property
    def listeners(self) -> Mapping[int, SourceListener]:
        """Those that listen, by pipeline."""
        return self._ports.listeners

    @property
    def placed(self) -> Mapping[int, PlacedSource]:
        """Those that run here alone, by pipeline."""
        return self._placed

    def go_back(self, positions: Mapping[int, Any], replays: list[Replay]) -> None:
        """Set the positions, by pipeline, and the replays with which ``open`` begins."""
        self._positions = positions
        self._replays = replays
        self.splits.go_back(positions)

    async def open(self, addresses: list[str], here: list[bool]) -> None:
        """Listen, replay journals, and start the sources that run here alone.

        Raises ``OSError`` for an address, ``WallarooError`` for a file or a position. What is open
        already stays as it is.
        """
        if self._replays:
            # What senders send meanwhile belongs behind what they sent before.
            self._ports.intake.hold(HoldReason.REPLAY)
            if self._ports.engine.timing is not None:
                self._ports.engine.timing.clocks.hold_sources()
        self.senders.assign(here)
        await self.listen(addresses)
        for index in range(len(self._ports.plan.pipelines)):
            if index in self._placed or index in self._ports.listeners or not here[index]:
                continue
            source = self._ports.new_placed(index)
            self._placed[index] = source
            if index in self._positions:
                source.restore(self._positions[index])
            source.start()
        await self.splits.open()
        self._replay()

    async def listen(self, addresses: list[str]) -> None:
        """Accept senders, if that is not done already. Raises ``OSError``."""
        if not self._is_draining:
            await self.senders.listen(addresses)

    def _replay(self) -> None:
        replays, self._replays = self._replays, []
        if not replays:
            self._finish_replay()
            return
        ReplayRunner(self._ports.plan, self._ports.engine, self).start(replays)

    # What a replay reports

    def replay_finished(self, journal_count: int, record_count: int) -> None:
        """Everything is replayed: read what senders send."""
        values = {
            "journals": journal_count,
            "records": record_count,
            "next": "source connections are read",
        }
        self._ports.report("journals.replayed", values)
        self._finish_replay()

    def replay_failed(self, error: WallarooError) -> None:
        """A journal cannot be read on."""
        self._events.source_failed(error)

    def _finish_replay(self) -> None:
        self._ports.replayed.set()
        if self._ports.engine.timing is not None:
            self._ports.engine.timing.replayed()
        self._ports.intake.release(HoldReason.REPLAY)

    @property
    def connection_count(self) -> int:
        """Senders that are connected."""
        return sum(each.connection_count for each in self._ports.listeners.values())

    def rewind(self) -> None:
        """Give up what was taken and is not saved; ``open`` goes on from what ``go_back`` says."""
        self._ports.intake.hold(HoldReason.REPLAY)
        self._ports.replayed.clear()
        self.senders.rewind()
        for source in self._placed.values():
            source.stop()
        self._placed.clear()
        self.splits.rewind()

    def set_positions(self, positions: Mapping[int, Any]) -> None:
        """Set the positions, by pipeline, at which ``open`` begins sources that ran elsewhere."""
        self._positions = {**self._positions, **positions}

    def positions(self) -> dict[int, Any]:
        """Return where the sources of this worker are, by pipeline, for its share of a checkpoint.

        Raises ``WallarooError`` if a position cannot be packed.
        """
        return {**self.placed_positions(), **self.splits.positions()}

    def placed_positions(self) -> dict[int, Any]:
        """Return where each source that runs here alone is, by pipeline.

        Raises ``StateObjectError`` if a generator's record cannot be pickled.
        """
        return {index: source.position() for index, source in self._placed.items()}

    @property
    def ended(self) -> tuple[list[int], list[str]]:
        """The pipelines whose sources have ended, and a sentence for each that broke off."""
        sources = (self._placed, self._ports.listeners)
        ends = {index: source.end for kind in sources for index, source in kind.items()}
        return (
            [index for index, end in ends.items() if end is not None],
            [end for end in ends.values() if end],
        )

    @property
    def is_replayed(self) -> bool:
        """Whether all of the journals is taken."""
        return self._ports.replayed.is_set()

    async def replayed(self) -> None:
        """Wait until all of the journals is taken."""
        await self._ports.replayed.wait()

    def check(self) -> None:
        """Assert that senders are not read while a journal is replayed."""
        self._ports.intake.check()
        assert self.is_replayed or self._ports.intake.is_full or not self._placed

    def stop(self) -> None:
        """Let no source but the listening ones hand out any more records."""
        for source in self._placed.values():
            source.stop()
        self.splits.stop()

    async def drain(self) -> None:
        """Take what was sent until now, then take nothing more."""
        self._is_draining = True
        if self._ports.engine.timing is not None:
            # What senders have sent is taken, however far ahead of others it is.
            self._ports.engine.timing.clocks.stop_aligning()
        await self.replayed()
        self.stop()
        await self.senders.close()
