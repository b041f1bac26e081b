"""What may be deleted from a store: old manifests, and objects that no retained one needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from wallaroo.checkpoint.manifest import NUMBER_DIGITS, PART_FOLDER, manifest_number


@dataclass(frozen=True, slots=True)
class Kept:
    """The facts about a manifest that decide what has to be kept."""

    number: int
    is_claim: bool
    object_names: frozenset[str]
    """All objects that it needs, see ``Manifest.object_names``."""


def retained(manifests: Iterable[Kept], keep: int) -> list[Kept]:
    """Return the manifests to retain, newest first: `keep` checkpoints, and always the newest one.

    A claim has the content of the checkpoint that it starts from, so it is needed only if it is the
    newest manifest.
    """
    newest_first = sorted(manifests, key=lambda one: one.number, reverse=True)
    checkpoints = [one for one in newest_first if not one.is_claim][: max(keep, 1)]
    claims = [one for one in newest_first[:1] if one.is_claim]
    return claims + checkpoints


def deletable(stays: Iterable[Kept], object_names: Iterable[str]) -> list[str]:
    """Return which of all `object_names` of a store can be deleted if the manifests `stays` remain.

    These are manifests older than all that remain, and parts, named ``parts/NUMBER/…``, that none
    of them needs. A claim newer than the oldest of them is not deleted, since its number must not
    be free for an older initializer that wakes up. Parts with a higher number than the newest
    manifest are being written, and names of another form are not ours. Without a manifest nothing
    can be deleted.
    """
    stays = list(stays)
    if not stays:
        return []
    numbers = [one.number for one in stays]
    needed: set[str] = set().union(*(one.object_names for one in stays))
    chosen: list[str] = []
    for name in object_names:
        manifest, checkpoint = manifest_number(name), checkpoint_of(name)
        is_old_manifest = manifest is not None and manifest < min(numbers)
        is_unneeded = checkpoint is not None and checkpoint <= max(numbers) and name not in needed
        if is_old_manifest or is_unneeded:
            chosen.append(name)
    return chosen


def checkpoint_of(name: str) -> int | None:
    """Return the checkpoint that the part ``parts/NUMBER/…`` was written for; else ``None``."""
    folder, _, rest = name.partition("/")
    digits, slash, _ = rest.partition("/")
    is_number = len(digits) == NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if folder + "/" == PART_FOLDER and slash and is_number else None
