"""All sources of one worker that are read by split, from the splits it is given to their ends.

The initializer says which splits this worker reads, see ``wallaroo.coordinator.splits``. It may say
so before the sources are open. Then a checkpoint may know better where a split is to be read on, so
positions are decided only when the sources open.

After a recovery a source gets a new runner, and its old one must have stopped reading by then: both
use the object that the application gave. So ``rewind`` stops the old ones and ``open`` waits until
they are closed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wallaroo.checkpoint.split_positions import (
    INITIAL,
    SplitKind,
    SplitPosition,
    earlier,
    split_values,
    to_share,
    unasked,
)
from wallaroo.connectors.base import Assignment
from wallaroo.ingest.source_ports import SourcePorts
from wallaroo.ingest.split_ports import SplitSource

UNKNOWN_SPLITS = object()
"""The channel that clocks expect until a worker knows which splits it reads."""


class SplitSources:
    """The sources that are read by split, by the index of their pipeline."""

    def __init__(self, ports: SourcePorts) -> None:
        self._ports = ports
        self._given: dict[int, dict[str, SplitPosition]] = {}
        """What was given before the sources were open. A pipeline whose splits are known is here,
        even if this worker reads none of them."""
        self._restored: Mapping[int, Any] = {}
        """Positions in the checkpoint, of splits of all workers."""
        self._sources: dict[int, SplitSource] = {}
        self._known: set[int] = set()
        """Pipelines whose splits were discovered once."""
        self._asking: set[int] = set()
        """Pipelines that were given splits of which it is not known where they start here."""
        self._closing: list[SplitSource] = []

    @property
    def open_sources(self) -> Mapping[int, SplitSource]:
        """Those that are open, by pipeline."""
        return self._sources

    def go_back(self, positions: Mapping[int, Any]) -> None:
        """Let ``open`` begin where a checkpoint was; ``positions`` are by pipeline."""
        self._restored = positions

    def give(self, pipeline: int, kind: SplitKind, splits: list[str], at: list[Any]) -> None:
        """Read these splits, at once or when the sources open; ``at`` is empty or one for each."""
        positions = [SplitPosition(kind, each) for each in at] or [SplitPosition(kind)] * len(
            splits
        )
        given = dict(zip(splits, positions, strict=True))
        self._known.add(pipeline)
        source = self._sources.get(pipeline)
        if source is None:
            self._given.setdefault(pipeline, {}).update(given)
        else:
            self._add(pipeline, source, given)
            if self._ports.engine.timing is not None:
                self._ports.engine.timing.expect_no_longer(pipeline, UNKNOWN_SPLITS)

    def _expect_splits(self, pipeline: int) -> None:
        """Let clocks wait for splits that are still to be discovered, perhaps at other workers.

        A worker whose share arrives first would otherwise move its clock past old records of the
        others, which it would take for idle.
        """
        if self._ports.engine.timing is not None:
            self._ports.engine.timing.expect(pipeline, UNKNOWN_SPLITS)

    async def open(self) -> None:
        """Read the splits that were given; what is open already stays as it is."""
        for closing in [*self._closing]:
            await closing.close()
            self._closing.remove(closing)
        for index, pipeline in enumerate(self._ports.plan.pipelines):
            if index in self._sources or pipeline.source.assignment is not Assignment.BY_SPLIT:
                continue
            source = self._ports.new_split_source(index)
            self._sources[index] = source
            if index not in self._known:
                self._expect_splits(index)
            self._add(index, source, self._with_restored(index, self._given.pop(index, {})))
            source.start()
        self._restored = {}

    def _with_restored(
        self, pipeline: int, given: dict[str, SplitPosition]
    ) -> dict[str, SplitPosition]:
        restored = split_values(self._restored.get(pipeline)) or {}
        return {
            split: _restored(restored[split], position.kind)
            if split in restored
            # What is in no checkpoint was read by no earlier run.
            else (INITIAL if position.kind is SplitKind.EARLIER else position)
            for split, position in given.items()
        }

    def _add(self, pipeline: int, source: SplitSource, given: Mapping[str, SplitPosition]) -> None:
        for split, position in given.items():
            start = position if source.resumes else unasked(position)
            source.add(split, start)
            if start.kind in (SplitKind.INITIAL, SplitKind.EARLIER):
                self._asking.add(pipeline)

    def take_asking(self) -> list[int]:
        """Return the pipelines with splits of which it was not known where they start here."""
        asking, self._asking = sorted(self._asking), set()
        return asking

    async def resolved(self, pipelines: Iterable[int]) -> None:
        """Wait until the first positions of all splits of these pipelines are known."""
        for index in pipelines:
            await self._sources[index].resolved()

    # Positions

    def positions(self) -> dict[int, Any]:
        """Return the positions of all splits, as a share of a checkpoint has them.

        A source whose splits were never discovered has none.
        """
        return {
            index: to_share(source.positions())
            for index, source in self._sources.items()
            if index in self._known
        }

    def positions_of(self, splits: Mapping[int, Iterable[str]]) -> dict[int, Any]:
        """Return the positions of these splits, by pipeline, in the same form."""
        found: dict[int, Any] = {}
        for index, names in splits.items():
            positions = self._sources[index].positions()
            found[index] = to_share({name: positions[name] for name in names})
        return found

    def remove(self, splits: Mapping[int, Iterable[str]]) -> None:
        """Read these splits no more: other workers do."""
        for index, names in splits.items():
            for name in names:
                self._sources[index].remove(name)

    def committed(self, positions: Mapping[int, Any]) -> None:
        """A checkpoint with these positions, from ``positions``, is committed."""
        for index, source in self._sources.items():
            values = split_values(positions.get(index)) or {}
            source.committed(
                {name: SplitPosition.from_wire(value) for name, value in values.items()}
            )

    # Ends

    def ended(self) -> dict[int, dict[str, str]]:
        """Return the splits that have ended, by pipeline, and why each broke off."""
        return {index: source.ended for index, source in self._sources.items() if source.ended}

    def rewind(self) -> None:
        """Give up all splits; ``open`` begins with those that are given from now on."""
        self.stop()
        self._closing += self._sources.values()
        self._sources.clear()
        self._given.clear()
        self._known.clear()
        self._asking.clear()

    def stop(self) -> None:
        """Hand out no more records."""
        for source in self._sources.values():
            source.stop()

    async def close(self) -> None:
        """Hand out no more records, and close all readers."""
        self.stop()
        for source in self._sources.values():
            await source.close()


def _restored(value: object, given: SplitKind) -> SplitPosition:
    """Return a position in a checkpoint; ``given`` says whether an earlier run has written it."""
    position = SplitPosition.from_wire(value)
    return earlier(position) if given is SplitKind.EARLIER else position
