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


async def verify(log: ManifestLog, journals: Path | None) -> Findings:
    """Read every manifest, all objects that they need, and all journals in the folder `journals`.

    Checks every checksum, reads every key, and unpickles nothing. Without a folder journals are
    left out. Raises ``StoreError`` if the store cannot be listed.
    """
    findings = Findings()
    manifests = await _read_manifests(log, findings)
    # What a claim needs is needed no more once it is not the newest.
    manifests = [one for one in manifests if not one.is_claim or one is manifests[-1]]
    await _read_objects(log, manifests, findings)
    if journals is not None:
        positions = [one for manifest in manifests for one in manifest.journal_positions()]
        _read_journals(journals, positions, findings)
    return findings


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
) -> None:
    seen: set[str] = set()
    for needed in (one for manifest in manifests for one in _needed(manifest)):
        if needed.name not in seen:
            seen.add(needed.name)
            await _read_object(log, needed, findings)


def _needed(manifest: Manifest) -> Iterator[PartRef]:
    for worker in manifest.workers.values():
        yield from worker.parts


async def _read_object(log: ManifestLog, needed: PartRef, findings: Findings) -> None:
    file = log.store.describe(needed.name)
    try:
        data = await log.store.get(needed.name)
        findings.object_count += 1
        findings.byte_count += len(data)
        for chunk in read_part(data, needed, file):
            chunk.keys()
    except WallarooError as error:
        findings.problems.append(_problem(error, file))


def _read_journals(folder: Path, positions: Iterable[JournalPosition], findings: Findings) -> None:
    journals = {journal.name: journal for journal in list_journals(folder)}
    begins = {
        journal.name: JournalPosition(journal.name, journal.segments[0], {})
        for journal in journals.values()
        if journal.segments
    }
    for position in begins.values():
        _read_journal(folder, journals[position.journal], position, findings)
    for position in positions:
        begin = begins.get(position.journal)
        if begin is None or begin.offset > position.offset:
            what = f"what was read from offset {position.offset} on is missing"
            hint = "bring the folder of journals back as it was"
            findings.problems.append(Problem(str(folder / position.journal), None, what, hint))


def _read_journal(
    folder: Path, journal: JournalInfo, begin: JournalPosition, findings: Findings
) -> None:
    findings.journal_count += 1
    findings.byte_count += journal.byte_count
    reader = JournalReader(folder, begin)
    try:
        findings.entry_count += sum(1 for _ in reader)
    except WallarooError as error:
        findings.problems.append(_problem(error, str(folder / journal.name)))
    if reader.torn_bytes:
        findings.torn.append((str(folder / journal.name), reader.torn_bytes))


def _problem(error: WallarooError, file: str) -> Problem:
    if isinstance(error, DamagedFileError):
        return Problem(error.file, error.offset, error.damage, error.hint)
    if isinstance(error, MissingObjectError):
        return Problem(file, None, "it is missing", _HINT_GO_BACK)
    return Problem(file, None, error.what, error.hint)
