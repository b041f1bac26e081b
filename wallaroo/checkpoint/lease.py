"""The lease of a store: one run at a time owns its checkpoints, and shows that it lives.

The lease is a row of numbered objects, ``owner/0000000001`` and so on; the last one counts. Its
owner creates the next one every ``RENEWED_EVERY_S`` and deletes those before. An object is
created only if there is none of that name, so of two that want the next number one gets it. Clocks
of different hosts are never compared: a run that waits for an owner to end watches by its own clock
whether the row grows.

The lease keeps a second run from starting by mistake. If it fails, the manifests still keep two
runs from spoiling each other's checkpoints: see ``ManifestLog.claim``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from wallaroo.checkpoint.manifest import NUMBER_DIGITS
from wallaroo.checkpoint.owner import (
    Evidence,
    Owner,
    Verdict,
    decode_owner,
    encode_owner,
    verdict,
)
from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import (
    AlreadyExistsError,
    ClusterError,
    DamagedFileError,
    FencedError,
    MissingObjectError,
    StoreError,
)

OWNER_FOLDER = "owner/"
LEASE_S = 10.0
"""An owner that has not renewed its lease for this long may be replaced."""
RENEWED_EVERY_S = 3.0
DYING_S = 1.0
"""A process that was just killed may keep its locks, and have a request under way, for so long."""
LOOKED_EVERY_S = 0.2
RETRIED_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Last:
    """The last object of the row; number 0 if there is none."""

    number: int = 0
    owner: Owner | None = None
    """``None`` if there is no object, or it cannot be read."""

    @property
    def is_free(self) -> bool:
        """Whether nobody owns the store."""
        return not self.number or (self.owner is not None and self.owner.is_released)


class Decision(Enum):
    """What a run does that wants the lease."""

    TAKE = "take"
    LOOK_AGAIN = "look again"
    """The owner seems to live, but may just be about to end."""
    AWAIT_LEASE = "await lease"
    """Whether the owner lives cannot be seen from here; it shows within ``LEASE_S``."""
    REFUSE = "refuse"


class Watch:
    """Decides whether `me` may take the lease, from what it sees, look by look."""

    def __init__(self, me: Owner) -> None:
        self._me = me
        self._last: Last | None = None
        self._since_s = 0.0
        """When the last object of the row was seen first."""
        self._met_s = 0.0
        """When the first one of its owner was."""

    def seen(self, last: Last, evidence: Evidence, now_s: float) -> Decision:
        """Return what follows from the end of the row and the evidence about its owner."""
        before, found = self._last, self._verdict(last, evidence)
        is_renewed = before is not None and before.number != last.number
        if before is None or is_renewed:
            self._last, self._since_s = last, now_s
        if before is None or not _is_same(before.owner, last.owner):
            self._met_s = now_s
        if found is Verdict.DEAD:
            return Decision.TAKE
        # What is renewed sooner may be a request that its owner sent before it died.
        if is_renewed and now_s - self._met_s >= DYING_S:
            return Decision.REFUSE
        waited_s = now_s - self._since_s
        if found is Verdict.LIVES:
            return Decision.REFUSE if waited_s >= DYING_S else Decision.LOOK_AGAIN
        return Decision.TAKE if waited_s >= LEASE_S else Decision.AWAIT_LEASE

    def _verdict(self, last: Last, evidence: Evidence) -> Verdict:
        if evidence.has_lock is False:
            return Verdict.LIVES
        if last.is_free or _is_same(last.owner, self._me):
            return Verdict.DEAD  # ours, if the answer to an earlier attempt was lost
        return Verdict.UNKNOWN if last.owner is None else verdict(last.owner, self._me, evidence)


@dataclass(frozen=True, slots=True)
class LeasePlace:
    """What a lease needs of its process."""

    pause: Pause
    clock: Callable[[], float]
    """Seconds from any origin."""
    look: Callable[[Owner | None], Evidence]
    """Looks for signs of this owner, and tries to get the folder's lock if there is one."""
    tell: Callable[[str, dict[str, Any]], None]
    """One line for people."""
    warn: Callable[[str, dict[str, Any]], None]


class Lease:
    """The lease of `store`, as the process `me` has it or wants it."""

    def __init__(self, store: ObjectStore, me: Owner, place: LeasePlace) -> None:
        self._store = store
        self._me = me
        self._place = place
        self._number = 0
        self._problem = ""
        """Why the lease is not renewed, if it is not; logged once, not each time."""

    async def acquire(self, *, takes_over: bool = False) -> None:
        """Become the owner as soon as it is certain that no other process is.

        With `takes_over` become it at once; the present owner notices when it renews. Raises
        ``ClusterError`` that names the owner if there is one that lives, and ``StoreError``.
        """
        watch, is_told = Watch(self._me), False
        while True:
            last = await self._last()
            evidence = self._place.look(last.owner)
            decision = Decision.TAKE
            if not takes_over:
                decision = watch.seen(last, evidence, self._place.clock())
            match decision:
                case Decision.TAKE:
                    if await self._took(last.number + 1, evidence):
                        return
                    continue
                case Decision.REFUSE:
                    raise self._refusal(last.owner)
                case Decision.AWAIT_LEASE if not is_told:
                    is_told = True
                    self._tell_awaited(last)
            await self._place.pause(LOOKED_EVERY_S)

    async def keep(self) -> None:
        """Renew the lease until cancelled.

        A store that cannot be reached does not end the run, since nobody can take the lease there
        either. Raises ``FencedError`` when another run has taken it.
        """
        while True:
            begun_s = self._place.clock()
            try:
                await self.renew()
            except StoreError as error:
                self._warn_once(error)
            else:
                self._problem = ""
            took_s = self._place.clock() - begun_s
            await self._place.pause(max(RETRIED_AFTER_S, RENEWED_EVERY_S - took_s))

    async def renew(self) -> None:
        """Show that this owner lives. Raises ``FencedError`` if it is not the owner any more."""
        # A run that took over while its predecessor lived gets the folder's lock only now.
        self._me = replace(self._me, has_lock=bool(self._place.look(None).has_lock))
        await self._append(self._me)

    async def release(self) -> None:
        """Nobody is the owner any more; raises as ``renew`` does."""
        await self._append(replace(self._me, is_released=True))

    async def remove(self) -> None:
        """Leave nothing, as if the store had never been owned; raises as ``renew`` does."""
        await self.release()
        await self._store.delete([_name(self._number)])

    # The row

    async def _took(self, number: int, evidence: Evidence) -> bool:
        """Create this object of the row; return whether it is ours."""
        self._me = replace(self._me, has_lock=bool(evidence.has_lock))
        try:
            await self._store.create(_name(number), encode_owner(self._me))
        except AlreadyExistsError:
            # Ours, if the answer to an earlier attempt was lost.
            if not _is_same(await self._found(number), self._me):
                return False
        self._number = number
        try:
            await self._tidy()
        except FencedError:
            return False  # another run went past this number while we slept
        return True

    async def _append(self, owner: Owner) -> None:
        """Make `owner`, who is this process, the end of the row."""
        while True:
            number = self._number + 1
            try:
                await self._store.create(_name(number), encode_owner(owner))
            except AlreadyExistsError:
                found = await self._found(number)
                self._check_mine(found)
                self._number = number  # ours whose answer was lost, or damaged and nobody's
                if found == owner:
                    break
            else:
                self._number = number
                break
        await self._tidy()

    async def _tidy(self) -> None:
        """Delete all but the end of the row, if that is ours.

        The number of an object that is long deleted is free again, so creating it proves nothing
        to an owner that slept through its successor.
        """
        numbers = await self._numbers()
        end = max(numbers, default=0)
        if end > self._number:
            try:
                self._check_mine(await self._found(end))
            except FencedError:
                await self._store.delete([_name(self._number)])
                raise
            self._number = end
        await self._store.delete([_name(each) for each in numbers if each < self._number])

    async def _last(self) -> Last:
        while numbers := await self._numbers():
            try:
                return Last(numbers[-1], await self._read(numbers[-1]))
            except MissingObjectError:
                continue  # it was renewed between these two requests
        return Last()

    async def _numbers(self) -> list[int]:
        names = [name for name, _ in await self._store.list(OWNER_FOLDER)]
        return sorted(number for name in names if (number := _number(name)) is not None)

    async def _found(self, number: int) -> Owner | None:
        """As ``_read``; ``None`` if it was deleted, too."""
        try:
            return await self._read(number)
        except MissingObjectError:
            return None

    async def _read(self, number: int) -> Owner | None:
        """Return who wrote an object of the row; ``None`` if it is damaged."""
        name = _name(number)
        try:
            return decode_owner(await self._store.get(name), self._store.describe(name))
        except DamagedFileError as error:
            facts = {"file": error.file, "damage": error.damage}
            self._place.warn("lease.damaged", {**facts, "next": "goes by the ones that follow it"})
            return None

    # Messages

    def _check_mine(self, owner: Owner | None) -> None:
        if owner is not None and not _is_same(owner, self._me):
            raise FencedError(
                f"the checkpoints in {self._store.location} were taken over by {owner.describe()}",
                "another wallaroo-run goes on with these checkpoints; let only one run",
            )

    def _refusal(self, owner: Owner | None) -> ClusterError:
        who = "another process" if owner is None or owner.is_released else owner.describe()
        return ClusterError(
            f"the checkpoints in {self._store.location} belong to a run that is alive: {who}",
            hint="stop that run first, for instance with wallaroo-cluster stop; --take-over starts "
            "at once and ends it",
        )

    def _tell_awaited(self, last: Last) -> None:
        self._place.tell(
            "owner.awaited",
            {
                "location": self._store.location,
                "owner": "cannot be read" if last.owner is None else last.owner.describe(),
                "hint": "--take-over does not wait",
                "next": f"starts if that run does not renew its lease within {LEASE_S:g} s",
            },
        )

    def _warn_once(self, error: StoreError) -> None:
        if not self._problem:
            facts = {"reason": error.what, "hint": error.hint}
            self._place.warn("lease.not_renewed", {**facts, "next": "goes on, and tries again"})
        self._problem = error.what


def _is_same(one: Owner | None, other: Owner | None) -> bool:
    return one is not None and other is not None and one.token == other.token


def _name(number: int) -> str:
    return f"{OWNER_FOLDER}{number:0{NUMBER_DIGITS}}"


def _number(name: str) -> int | None:
    digits = name.removeprefix(OWNER_FOLDER)
    is_number = len(digits) == NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if is_number else None
