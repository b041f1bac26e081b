"""Finds out, in the initializer, whether a cluster that goes back still has its input.

A TCP sender cannot be asked to repeat, so what was accepted behind the last checkpoint stands in
journals alone, and a journal may go with the disk of its host. Workers report with each ``Join``
what they have. What there must be follows from three things: a checkpoint names the journals of
all its members; since then each worker whose sources were opened may have written another one; and
what was there when all joined before, perhaps from an earlier run, must still be there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import JournalExtent, journal_name, replay_position
from wallaroo.checkpoint.lost_input import NeededInput, Shortfall, shortfall
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.checkpoint.restorer import replayer_of
from wallaroo.coordinator.events import Announce
from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Join

NAMED_MAX = 3
"""An error names so many journals; each of them has a line in the log."""


@dataclass(frozen=True, slots=True)
class LostJournal:
    """A journal that is needed and not there."""

    position: JournalPosition
    worker: WorkerName
    """Who would have to replay it."""
    gap: Shortfall
    held_by: WorkerName | None
    """Another member that has it, which does not help: it replays only its own."""


class KeptInput:
    """The journals of one cluster: which are needed, and which are there."""

    def __init__(self, needed: NeededInput | None, *, may_be_lost: bool) -> None:
        """``needed`` is ``None`` if nothing is kept: without checkpoints, or without TCP sources.

        ``may_be_lost`` says that the run is to go on without what is missing.
        """
        self.is_kept = needed is not None
        self._needed = needed or NeededInput(0, ())
        self._may_be_lost = may_be_lost
        self._known: dict[str, int] = {}
        """Other journals, and how long each was at least."""
        self._extents: dict[WorkerName, dict[str, JournalExtent]] = {}
        self._folders: dict[WorkerName, str] = {}
        self._given_up: dict[str, None] = {}

    @property
    def given_up(self) -> list[str]:
        """The journals that are to be replayed as far as they are there, if at all."""
        return list(self._given_up)

    def joined(self, frame: Join) -> None:
        """A worker has reported its journals."""
        extents = map(JournalExtent.from_wire, frame.journals)
        self.found(frame.name, extents, frame.journal_folder)

    def found(self, worker: WorkerName, extents: Iterable[JournalExtent], folder: str) -> None:
        """This is what a worker can reach of journals, in its ``folder``."""
        self._extents[worker] = {each.journal: each for each in extents}
        self._folders[worker] = folder

    def opened(self, processes: Mapping[WorkerName, Epoch]) -> None:
        """Sources are opened in these processes, known by the epochs of their starts."""
        for worker, epoch in processes.items():
            self._known.setdefault(journal_name(worker, epoch), HEADER_BYTES)

    def committed(self, needed: NeededInput) -> None:
        """There is a new checkpoint; no sources were opened since it began."""
        self._needed = needed
        self._known.clear()
        self._given_up.clear()

    def look(self, members: tuple[WorkerName, ...]) -> tuple[list[Announce], ClusterError | None]:
        """Say what is missing now that all members have joined, and whether that ends the run."""
        if not self.is_kept:
            return [], None
        lost = [each for each in self._lost(members) if each.position.journal not in self._given_up]
        told = [self._announce(each) for each in lost]
        if lost and not self._may_be_lost:
            return told, self._error(lost)
        self._given_up |= dict.fromkeys(each.position.journal for each in lost)
        for member in members:
            for journal, extent in self._extents[member].items():
                if replayer_of(journal, members) == member:
                    self._known[journal] = extent.end
        return told, None

    def _lost(self, members: tuple[WorkerName, ...]) -> Iterable[LostJournal]:
        for position in self._positions():
            worker = replayer_of(position.journal, members)
            extent = self._extents[worker].get(position.journal)
            gap = shortfall(position, extent, self._folders[worker])
            if gap is not None:
                yield LostJournal(position, worker, gap, self._holder(position, members))

    def _positions(self) -> list[JournalPosition]:
        named = self._needed.positions
        known = {each.journal for each in named}
        newer = [
            replace(position, end=end)
            for journal, end in self._known.items()
            if journal not in known and (position := replay_position(journal, named)) is not None
        ]
        return [*named, *newer]

    def _holder(
        self, position: JournalPosition, members: tuple[WorkerName, ...]
    ) -> WorkerName | None:
        for member in members:
            extent = self._extents[member].get(position.journal)
            if extent is not None and shortfall(position, extent, "") is None:
                return member
        return None

    def _announce(self, lost: LostJournal) -> Announce:
        values: dict[str, Any] = {
            "worker": lost.worker,
            "journal": lost.position.journal,
            "file": lost.gap.file,
            "expected_bytes": lost.gap.expected_bytes,
            "actual_bytes": lost.gap.actual_bytes,
            "from_offset": lost.position.offset,
            "since_checkpoint": self._needed.checkpoint,
        }
        if lost.held_by is not None:
            values["held_by"] = lost.held_by
        following = "the run continues without it" if self._may_be_lost else "the run stops"
        return Announce("journals.lost", values, following, is_error=True)

    def _error(self, lost: list[LostJournal]) -> ClusterError:
        named = [f"{each.gap.file}: {each.gap.what}" for each in lost[:NAMED_MAX]]
        if (more := len(lost) - NAMED_MAX) > 0:
            named.append(f"and {more} more, see journals.lost in the log")
        what = (
            f"accepted input that checkpoint {self._needed.checkpoint} needs is lost: "
            f"{'; '.join(named)}"
        )
        hint = "restore the file unchanged, for example by bringing back the disk of its host"
        if elsewhere := next((each for each in lost if each.held_by is not None), None):
            hint = (
                f"{elsewhere.position.journal} is on the host of worker {elsewhere.held_by}: start "
                f"worker {elsewhere.worker} there, or give both the same --journal-dir"
            )
        return ClusterError(what, f"{hint}; or continue without it: --allow-lost-input")
