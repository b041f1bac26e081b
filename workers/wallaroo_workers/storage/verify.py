"""Reads all that a run could start from, and reports everything that is not as it was written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wallaroo.checkpoint.lost_input import Shortfall, needed_positions, shortfall
from wallaroo.checkpoint.manifest import JournalPosition, Manifest, OutboxBatch, PartRef
from wallaroo.checkpoint.manifest import manifest_name as name_of
from wallaroo.checkpoint.outbox_objects import check_batch
from wallaroo.checkpoint.parts import read_part
from wallaroo.errors import DamagedFileError, MissingObjectError, WallarooError
from wallaroo_workers.storage.journal_extents import journal_extents
from wallaroo_workers.storage.journal_files import (
    JournalInfo,
    JournalReader,
    list_journals,
)
from wallaroo_workers.storage.manifests import ManifestLog

_HINT_GO_BACK = "restore it from a copy, or go back to a checkpoint that does not need it"
_HINT_JOURNALS = (
    "bring the file back as it was; if the run has a --journal-dir, name that with --journals; to "
    "go on without what was in it, start with --allow-lost-input"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written."""

    file: str
    offset: int | None
    """In bytes; ``None`` where the whole file is concerned."""
    what: str
    hint: str


@dataclass(slots=True)
class Findings:
    """What was read, and what was found."""

    manifest_count: int = 0
    object_count: int = 0
    journal_count: int = 0
    entry_count: int = 0
    byte_count: int = 0
    torn: list[tuple[str, int]] = field(default_factory=list)
    """Journals that end within an entry, which a crash may cause: name and bytes of the entry."""
    problems: list[Problem] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    """Checkpoints that a run can begin with, ascending: nothing that they need is damaged."""


async def verify(log: ManifestLog, journals: Path | None) -> Findings:
    """Read every manifest, all objects that they need, and all journals in the folder `journals`.

    Checks every checksum, reads every key, and unpickles nothing. Without a folder journals are
    left out. Raises ``StoreError`` if the store cannot be listed.
    """
    findings = Findings()
    manifests = await _read_manifests(log, findings)
    # What a claim needs is needed no more once it is not the newest.
    manifests = [one for one in manifests if not one.is_claim or one is manifests[-1]]
    damaged = await _read_objects(log, manifests, findings)
    lacking: set[int] = set()
    if journals is not None:
        damaged |= _read_journals(journals, findings)
        lacking = _find_shortfalls(journals, manifests, findings)
    line = await log.line()
    findings.whole = [
        manifest.number
        for manifest in manifests
        if not manifest.is_claim
        and manifest.number in line
        and manifest.number not in lacking
        and not _needs(manifest) & damaged
    ]
    return findings


def _needs(manifest: Manifest) -> set[str]:
    """Return the names of the objects and of the journals that `manifest` is restored from."""
    journals = (one.journal for one in manifest.journal_positions() if not one.is_finished)
    return {*manifest.object_names(), *journals}


async def _read_manifests(log: ManifestLog, findings: Findings) -> list[Manifest]:
    found: list[Manifest] = []
    for number in await log.numbers():
        findings.manifest_count += 1
        try:
            found.append(await log.load(number))
        except WallarooError as error:
            findings.problems.append(_problem(error, log.store.describe(name_of(number))))
    return found


async def _read_objects(
    log: ManifestLog, manifests: Sequence[Manifest], findings: Findings
) -> set[str]:
    """Return the names of those that are damaged or missing."""
    seen: set[str] = set()
    damaged: set[str] = set()
    for needed in (one for manifest in manifests for one in _objects(manifest)):
        if needed.name not in seen:
            seen.add(needed.name)
            if not await _is_whole(log, needed, findings):
                damaged.add(needed.name)
    return damaged


def _objects(manifest: Manifest) -> Iterator[PartRef | OutboxBatch]:
    for worker in manifest.workers.values():
        yield from worker.parts
        yield from worker.outbox


async def _is_whole(log: ManifestLog, needed: PartRef | OutboxBatch, findings: Findings) -> bool:
    file = log.store.describe(needed.name)
    try:
        data = await log.store.get(needed.name)
        findings.object_count += 1
        findings.byte_count += len(data)
        if isinstance(needed, OutboxBatch):
            check_batch(data, needed, file)
        else:
            for chunk in read_part(data, needed, file):
                chunk.keys()
    except WallarooError as error:
        findings.problems.append(_problem(error, file))
        return False
    return True


def _read_journals(folder: Path, findings: Findings) -> set[str]:
    """Return the names of those that are damaged."""
    return {
        journal.name
        for journal in list_journals(folder)
        if journal.segments and not _is_journal_whole(folder, journal, findings)
    }


def _find_shortfalls(folder: Path, manifests: Sequence[Manifest], findings: Findings) -> set[int]:
    """Return the numbers of those for which a journal is missing, or not all of it is there."""
    extents = {extent.journal: extent for extent in journal_extents(folder)}
    lacking: set[int] = set()
    worst: dict[str, Shortfall] = {}
    for manifest in manifests:
        for position in needed_positions(manifest):
            gap = shortfall(position, extents.get(position.journal), str(folder))
            if gap is None:
                continue
            lacking.add(manifest.number)
            known = worst.get(position.journal)
            if known is None or known.expected_bytes < gap.expected_bytes:
                worst[position.journal] = gap
    for journal, gap in worst.items():
        findings.problems.append(Problem(gap.file, None, gap.what, _HINT_JOURNALS))
        path = str(folder / journal)
        findings.torn = [each for each in findings.torn if each[0] != path]
    return lacking


def _is_journal_whole(folder: Path, journal: JournalInfo, findings: Findings) -> bool:
    findings.journal_count += 1
    findings.byte_count += journal.byte_count
    reader = JournalReader(folder, JournalPosition(journal.name, journal.segments[0], {}))
    try:
        findings.entry_count += sum(1 for _ in reader)
    except WallarooError as error:
        findings.problems.append(_problem(error, str(folder / journal.name)))
        return False
    if reader.torn_bytes:
        findings.torn.append((str(folder / journal.name), reader.torn_bytes))
    return True


def _problem(error: WallarooError, file: str) -> Problem:
    if isinstance(error, DamagedFileError):
        return Problem(error.file, error.offset, error.damage, error.hint)
    if isinstance(error, MissingObjectError):
        return Problem(file, None, "it is missing", _HINT_GO_BACK)
    return Problem(file, None, error.what, error.hint)
