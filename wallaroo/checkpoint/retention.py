"""What may go from a store: manifests that are not kept, and objects that no kept one needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from wallaroo.checkpoint.manifest import NUMBER_DIGITS, PART_FOLDER, manifest_number


@dataclass(frozen=True, slots=True)
class Kept:
    """What has to be known of a manifest to tell what it keeps alive."""

    number: int
    is_claim: bool
    object_names: frozenset[str]
    """All objects it needs, see ``Manifest.object_names``."""


def retained(manifests: Iterable[Kept], keep: int) -> list[Kept]:
    """Return the manifests that stay, newest first: `keep` checkpoints, and the newest in any case.

    A claim says the same as the checkpoint it starts from; only one that is the newest is needed.
    """
    newest_first = sorted(manifests, key=lambda one: one.number, reverse=True)
    checkpoints = [one for one in newest_first if not one.is_claim][: max(keep, 1)]
    claims = [one for one in newest_first[:1] if one.is_claim]
    return claims + checkpoints


def deletable(stays: Iterable[Kept], object_names: Iterable[str]) -> list[str]:
    """Return which of all `object_names` in a store can go, given what ``retained`` said stays.

    Those are manifests older than all that stay, and parts, named ``parts/NUMBER/…``, that none
    of these needs. A claim newer than the oldest of them is left, since its number must not be
    free for an older initializer that wakes up. What has a higher number than the newest manifest
    is being written; names of another form are not ours. Without any manifest nothing can go.
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
    """Return which checkpoint the part ``parts/NUMBER/…`` was written for; else ``None``."""
    folder, _, rest = name.partition("/")
    digits, slash, _ = rest.partition("/")
    is_number = len(digits) == NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if folder + "/" == PART_FOLDER and slash and is_number else None
