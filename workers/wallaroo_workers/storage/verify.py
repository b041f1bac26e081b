"""Reads all that a run could start from, and reports everything that is not as it was written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wallaroo.checkpoint.manifest import JournalPosition, Manifest, PartRef
from wallaroo.checkpoint.manifest import manifest_name as name_of
from wallaroo.checkpoint.parts import read_part
from wallaroo.errors import DamagedFileError, MissingObjectError, WallarooError
from wallaroo_workers.storage.journal_files import JournalInfo, JournalReader, list_journals
from wallaroo_workers.storage.manifests import ManifestLog

_HINT_GO_BACK = "restore it from a copy, or go back to a checkpoint that does not need it"
_HINT_JOURNALS = (
    "bring the folder of journals back as it was; if the run has a --journal-dir, name that with "
    "--journals"
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
    """Journals that end within an entry, which is no damage: name, and how many bytes of it."""
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
    if journals is not None:
        needed = (one for manifest in manifests for one in manifest.journal_positions())
        positions = {(one.journal, one.offset): one for one in needed}.values()
        damaged |= _read_journals(journals, positions, findings)
    line = await log.line()
    findings.whole = [
        manifest.number
        for manifest in manifests
        if not manifest.is_claim and manifest.number in line and not _needs(manifest) & damaged
    ]
    return findings


def _needs(manifest: Manifest) -> set[str]:
    """Return the names of the objects and of the journals that `manifest` is restored from."""
    return {*manifest.object_names(), *(one.journal for one in manifest.journal_positions())}


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
    for needed in (one for manifest in manifests for one in _parts(manifest)):
        if needed.name not in seen:
            seen.add(needed.name)
            if not await _is_whole(log, needed, findings):
                damaged.add(needed.name)
    return damaged


def _parts(manifest: Manifest) -> Iterator[PartRef]:
    for worker in manifest.workers.values():
        yield from worker.parts


async def _is_whole(log: ManifestLog, needed: PartRef, findings: Findings) -> bool:
    file = log.store.describe(needed.name)
    try:
        data = await log.store.get(needed.name)
        findings.object_count += 1
        findings.byte_count += len(data)
        for chunk in read_part(data, needed, file):
            chunk.keys()
    except WallarooError as error:
        findings.problems.append(_problem(error, file))
        return False
    return True


def _read_journals(
    folder: Path, positions: Iterable[JournalPosition], findings: Findings
) -> set[str]:
    """Return the names of those that are damaged or lack something."""
    journals = {journal.name: journal for journal in list_journals(folder)}
    begins = {
        journal.name: JournalPosition(journal.name, journal.segments[0], {})
        for journal in journals.values()
        if journal.segments
    }
    damaged = {
        name
        for name, begin in begins.items()
        if not _is_journal_whole(folder, journals[name], begin, findings)
    }
    for position in positions:
        begin = begins.get(position.journal)
        if begin is None or begin.offset > position.offset:
            damaged.add(position.journal)
            what = f"what was read from offset {position.offset} on is missing"
            findings.problems.append(
                Problem(str(folder / position.journal), None, what, _HINT_JOURNALS)
            )
    return damaged


def _is_journal_whole(
    folder: Path, journal: JournalInfo, begin: JournalPosition, findings: Findings
) -> bool:
    findings.journal_count += 1
    findings.byte_count += journal.byte_count
    reader = JournalReader(folder, begin)
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
