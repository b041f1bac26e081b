"""All sources of one worker, driven as one: listening ones, placed ones, and replays of journals.

What stands in journals comes before what senders send meanwhile: as long as a replay lasts the
intake is shut.
"""

from collections.abc import Callable, Mapping
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.ingest.journal_replay import Replay, ReplayRunner
from wallaroo.ingest.listening_sources import ListeningSources
from wallaroo.ingest.source_ports import PlacedSource, SourceListener, SourceParts


class Sources:
    """All sources of one worker; the index of a pipeline is that of its source."""

    def __init__(self, parts: SourceParts) -> None:
        self._parts = parts
        self.senders = ListeningSources(parts)
        self._is_draining = False
        """Nothing is taken any more, for good."""
        self._positions: Mapping[int, Any] = {}
        self._replays: list[Replay] = []
        self._placed: dict[int, PlacedSource] = {}
        self.on_ended: Callable[[], None] = lambda: None
        """Called when one more source with an end, a file, has ended."""
        self.on_failed: Callable[[WallarooError], None] = lambda _: None
        """Called when a journal cannot be read on."""

    @property
    def listeners(self) -> Mapping[int, SourceListener]:
        """Those that listen, by pipeline."""
        return self._parts.listeners

    @property
    def placed(self) -> Mapping[int, PlacedSource]:
        """Those that run here alone, by pipeline."""
        return self._placed

    def go_back(self, positions: Mapping[int, Any], replays: list[Replay]) -> None:
        """Have ``open`` begin at these positions, by pipeline, and with these replays."""
        self._positions = positions
        self._replays = replays

    async def open(self, addresses: list[str], here: list[bool]) -> None:
        """Listen, replay journals, and start the sources that run here alone.

        Raises ``OSError`` for an address, ``WallarooError`` for a file or a position. What is open
        already stays as it is.
        """
        if self._replays:
            # What senders send meanwhile belongs behind what they sent before.
            self._parts.intake.shut()
        await self.listen(addresses)
        for index, pipeline in enumerate(self._parts.plan.pipelines):
            if index in self._placed or not here[index]:
                continue
            # What is to be called is known only when this worker is put together.
            source = self._parts.new_placed(index, pipeline, lambda: self.on_ended())
            self._placed[index] = source
            if index in self._positions:
                source.restore(self._positions[index])
            source.start()
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
        parts = self._parts
        runner = ReplayRunner(parts.plan, parts.engine)

        def finished() -> None:
            values = {
                "journals": len(replays),
                "records": runner.record_count,
                "next": "senders are read",
            }
            parts.tell("journals.replayed", values)
            self._finish_replay()

        runner.on_finished = finished
        runner.on_failed = lambda error: self.on_failed(error)
        runner.start(replays)

    def _finish_replay(self) -> None:
        self._parts.replayed.set()
        self._parts.intake.open()

    @property
    def connection_count(self) -> int:
        """Senders that are connected."""
        return sum(each.connection_count for each in self._parts.listeners.values())

    def rewind(self) -> None:
        """Give up what was taken and is not saved; ``open`` goes on from what ``go_back`` says."""
        self._parts.intake.shut()
        self._parts.replayed.clear()
        self.senders.rewind()
        for source in self._placed.values():
            source.stop()
        self._placed.clear()

    def place(self, positions: Mapping[int, Any]) -> None:
        """Have ``open`` begin sources that ran elsewhere at these positions, by pipeline."""
        self._positions = {**self._positions, **positions}

    def positions(self) -> dict[int, Any]:
        """Return where each source that runs here alone is, by pipeline.

        Raises ``StateObjectError`` where a generator's record cannot be pickled.
        """
        return {index: source.position() for index, source in self._placed.items()}

    @property
    def ended(self) -> tuple[list[int], list[str]]:
        """The pipelines whose sources have ended, and a sentence for each that broke off."""
        ends = {index: source.end for index, source in self._placed.items()}
        return (
            [index for index, end in ends.items() if end is not None],
            [end for end in ends.values() if end],
        )

    @property
    def is_replayed(self) -> bool:
        """Whether all of the journals is taken."""
        return self._parts.replayed.is_set()

    async def replayed(self) -> None:
        """Wait until all of the journals is taken."""
        await self._parts.replayed.wait()

    def stop_placed(self) -> None:
        """Have the sources that run here alone hand out no more records."""
        for source in self._placed.values():
            source.stop()

    async def drain(self) -> None:
        """Take what was sent until now, then take nothing more."""
        self._is_draining = True
        await self.replayed()
        self.stop_placed()
        await self.senders.close()
