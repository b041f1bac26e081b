"""Checks whether the input that a recovery or a start needs still exists.

A TCP sender cannot repeat what it has sent. So input that was accepted after the last checkpoint
exists only in journals, and a journal may be lost with the disk of its host. Each worker reports
its journals in ``Join``. These journals must exist:

* those that the checkpoint names, of all its members;
* those that workers may have written since, in each process whose sources were opened;
* those that existed when all workers last joined, perhaps from an earlier run.
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
"""An error names at most so many journals; the log has a line for each."""


@dataclass(frozen=True, slots=True)
class LostJournal:
    """A journal that is needed and missing, or too short."""

    position: JournalPosition
    worker: WorkerName
    """The worker that would have to replay it."""
    gap: Shortfall
    held_by: WorkerName | None
    """Another member that has it. It does not replay it: each worker replays only its own."""


class KeptInput:
    """The journals of one cluster: which ones are needed, and which ones exist."""

    def __init__(self, needed: NeededInput | None, *, may_be_lost: bool) -> None:
        """Start with the journals that the first checkpoint needs.

        ``needed`` is ``None`` if no input is kept: without checkpoints, or without TCP sources. If
        input ``may_be_lost``, the run continues without missing journals.
        """
        self.is_kept = needed is not None
        self._needed = needed or NeededInput(0, ())
        self._may_be_lost = may_be_lost
        self._known: dict[str, int] = {}
        """Journals that the checkpoint does not name, and the least length of each."""
        self._extents: dict[WorkerName, dict[str, JournalExtent]] = {}
        self._folders: dict[WorkerName, str] = {}
        self._given_up: dict[str, None] = {}

    @property
    def given_up(self) -> list[str]:
        """The journals with lost input; they are replayed as far as they exist."""
        return list(self._given_up)

    def joined(self, frame: Join) -> None:
        """Store the journals that a worker reports."""
        extents = map(JournalExtent.from_wire, frame.journals)
        self.set_extents(frame.name, extents, frame.journal_folder)

    def set_extents(
        self, worker: WorkerName, extents: Iterable[JournalExtent], folder: str
    ) -> None:
        """Store which journals a worker can reach, in its ``folder``."""
        self._extents[worker] = {each.journal: each for each in extents}
        self._folders[worker] = folder

    def opened(self, processes: Mapping[WorkerName, Epoch]) -> None:
        """Expect a journal of each of these processes, which open their sources now.

        A process is known by the epoch in which it was started.
        """
        for worker, epoch in processes.items():
            self._known.setdefault(journal_name(worker, epoch), HEADER_BYTES)

    def committed(self, needed: NeededInput) -> None:
        """Replace what is needed after a new checkpoint; no source was opened since it began."""
        self._needed = needed
        self._known.clear()
        self._given_up.clear()

    def verify(self, members: tuple[WorkerName, ...]) -> tuple[list[Announce], ClusterError | None]:
        """Check the journals of all members, which have joined.

        Return a log line for each newly missing journal, and the error that ends the run, if any.
        """
        if not self.is_kept:
            return [], None
        lost = [each for each in self._lost(members) if each.position.journal not in self._given_up]
        losses = [self._announce(each) for each in lost]
        if lost and not self._may_be_lost:
            return losses, self._error(lost)
        self._given_up |= dict.fromkeys(each.position.journal for each in lost)
        for member in members:
            for journal, extent in self._extents[member].items():
                if replayer_of(journal, members) == member:
                    self._known[journal] = extent.end
        return losses, None

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
