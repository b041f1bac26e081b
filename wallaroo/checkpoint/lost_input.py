"""Which journals a checkpoint needs, and what is missing of them."""

import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from wallaroo.checkpoint.blocks import HEADER_BYTES
from wallaroo.checkpoint.journal import JournalExtent, epoch_of, parse_journal_name, segment_name
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, WorkerCheckpoint
from wallaroo.names import WorkerName
from wallaroo.topology.plan import Application


@dataclass(frozen=True, slots=True)
class NeededInput:
    """The journals that a run needs if it starts from a checkpoint."""

    checkpoint: int
    """The number of its manifest."""
    positions: tuple[JournalPosition, ...]
    """From where each is needed. Newer journals may exist; they are needed from their start."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A journal that is missing, or shorter than a checkpoint says."""

    file: str
    expected_bytes: int
    """Length that the file had at least; of the whole journal if all of it is missing."""
    actual_bytes: int
    what: str
    """A clause about the file, for people."""


def keeps_input(plan: Application) -> bool:
    """Return whether any source writes a journal; sources that can be read again do not."""
    return bool(journalled(plan))


def journalled(plan: Application) -> list[str]:
    """Return the names of the pipelines whose source writes a journal."""
    return [pipeline.name for pipeline in plan.pipelines if pipeline.source.keeps_journal]


def needed_positions(manifest: Manifest) -> list[JournalPosition]:
    """Return the position of each journal that `manifest` names; not all of them must exist.

    Earlier releases did not note how long a journal was and whether it was finished. They deleted
    journals of earlier processes once these were processed, even if the newest manifest named them.
    So in their manifests such a journal counts as finished, and may be missing.
    """
    return [each for worker in manifest.workers.values() for each in _needed_of(worker)]


def holders_elsewhere(manifest: Manifest, here: Collection[str]) -> list[WorkerName]:
    """Return the members with a journal that is needed and is not among those ``here``.

    If the journals are not in a shared folder, only the hosts of these workers can replay them.
    """
    needed = [each for each in needed_positions(manifest) if not each.is_finished]
    writers = {_writer_of(each) for each in needed if each.journal not in here}
    return [WorkerName(member) for member in manifest.members if member in writers]


def _needed_of(worker: WorkerCheckpoint) -> Iterable[JournalPosition]:
    own = [each for each in worker.journals if _writer_of(each) == worker.worker]
    written = max(own, key=lambda each: epoch_of(each.journal), default=None)
    for each in worker.journals:
        may_be_deleted = not each.end and not each.done and each is not written
        yield replace(each, is_finished=True) if may_be_deleted else each


def _writer_of(position: JournalPosition) -> str | None:
    parsed = parse_journal_name(position.journal)
    return parsed[0] if parsed is not None else None


def shortfall(
    position: JournalPosition, extent: JournalExtent | None, folder: str
) -> Shortfall | None:
    """Return what is missing of a journal in `folder`; ``None`` if all that is needed exists.

    `extent` says how much of the journal exists; ``None`` means none of it. What was deleted
    because it was processed is not needed.
    """
    path = posixpath.join(folder, position.journal)
    least_end = max(position.least_end, HEADER_BYTES)
    if extent is None:
        if position.is_finished:
            return None
        what = (
            f"what was read from offset {position.offset} on is missing: there is no such journal, "
            f"and it had at least {least_end:,} bytes"
        )
        return Shortfall(path, least_end, 0, what)
    if extent.end < position.least_end:
        expected, actual = position.least_end - extent.last, extent.end - extent.last
        file = posixpath.join(path, segment_name(extent.last))
        what = f"it holds {actual:,} bytes, and had at least {expected:,}"
        return Shortfall(file, expected, actual, what)
    if extent.begin > position.offset and not position.is_finished:
        missing = extent.begin - position.offset
        what = (
            f"what was read from offset {position.offset} to {extent.begin} is missing: "
            f"{missing:,} bytes"
        )
        return Shortfall(path, extent.end - position.offset, extent.end - extent.begin, what)
    return None
