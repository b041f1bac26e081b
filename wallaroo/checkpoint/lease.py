"""The lease of a store: one run at a time owns its checkpoints, and shows that it is alive.

The lease is a sequence of numbered objects, ``owner/0000000001`` and so on; the last one counts.
The owner creates the next one every ``RENEW_INTERVAL_S`` and deletes the ones before. An object is
created only if none of that name exists, so if two runs want the next number, one of them gets it.
Clocks of different hosts are never compared: a run that waits for an owner to end watches by its
own clock whether the sequence grows.

The lease keeps a second run from starting by mistake. If it fails, the manifests still keep two
runs from damaging each other's checkpoints: see ``manifest_log.py``.
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
RENEW_INTERVAL_S = 3.0
DYING_S = 1.0
"""For this long, a process that was killed may keep its locks and have a request under way."""
POLL_INTERVAL_S = 0.2
RETRY_DELAY_S = 0.5


@dataclass(frozen=True, slots=True)
class LatestEntry:
    """The last object of the sequence; number 0 if it is empty."""

    number: int = 0
    owner: Owner | None = None
    """``None`` if no object exists, or it cannot be read."""

    @property
    def is_free(self) -> bool:
        """Whether the store has no owner."""
        return not self.number or (self.owner is not None and self.owner.is_released)


class Decision(Enum):
    """What a run that wants the lease does next."""

    TAKE = "take"
    POLL_AGAIN = "poll again"
    """The owner seems to be alive, but may be about to end."""
    AWAIT_LEASE = "await lease"
    """Whether the owner is alive is not visible from here; it shows within ``LEASE_S``."""
    REFUSE = "refuse"


class Watch:
    """Decides, observation by observation, whether `me` may take the lease."""

    def __init__(self, me: Owner) -> None:
        self._me = me
        self._latest: LatestEntry | None = None
        self._since_s = 0.0
        """When the last object of the sequence was first seen."""
        self._owner_since_s = 0.0
        """When the first object of its owner was first seen."""

    def observe(self, latest: LatestEntry, evidence: Evidence, now_s: float) -> Decision:
        """Return what to do, given the end of the sequence and the evidence about its owner."""
        before, found = self._latest, self._verdict(latest, evidence)
        is_renewed = before is not None and before.number != latest.number
        if before is None or is_renewed:
            self._latest, self._since_s = latest, now_s
        if before is None or not _is_same(before.owner, latest.owner):
            self._owner_since_s = now_s
        if found is Verdict.DEAD:
            return Decision.TAKE
        # An earlier renewal may be a request that the owner sent before it died.
        if is_renewed and now_s - self._owner_since_s >= DYING_S:
            return Decision.REFUSE
        waited_s = now_s - self._since_s
        if found is Verdict.LIVES:
            return Decision.REFUSE if waited_s >= DYING_S else Decision.POLL_AGAIN
        return Decision.TAKE if waited_s >= LEASE_S else Decision.AWAIT_LEASE

    def _verdict(self, latest: LatestEntry, evidence: Evidence) -> Verdict:
        if evidence.has_lock is False:
            return Verdict.LIVES
        if latest.is_free or _is_same(latest.owner, self._me):
            return Verdict.DEAD  # ours, if the answer to an earlier attempt was lost
        if latest.owner is None:
            return Verdict.UNKNOWN
        return verdict(latest.owner, self._me, evidence)


@dataclass(frozen=True, slots=True)
class LeasePorts:
    """What a lease needs from its process."""

    pause: Pause
    clock: Callable[[], float]
    """Seconds from any origin."""
    observe: Callable[[Owner | None], Evidence]
    """Collects evidence about this owner, and tries to lock the folder if the store is one."""
    report: Callable[[str, dict[str, Any]], None]
    """Logs an event."""
    warn: Callable[[str, dict[str, Any]], None]


class Lease:
    """The lease of `store`, which the process `me` holds or wants."""

    def __init__(self, store: ObjectStore, me: Owner, ports: LeasePorts) -> None:
        self._store = store
        self._me = me
        self._ports = ports
        self._number = 0
        self._problem = ""
        """Why the last renewal failed; the same problem is logged once only."""

    async def acquire(self, *, takes_over: bool = False) -> None:
        """Become the owner as soon as it is certain that no other process is.

        With `takes_over` become the owner at once; the present owner notices when it renews. Raises
        ``StoreError``, and ``ClusterError`` with the owner's name if an owner is alive.
        """
        watch, is_reported = Watch(self._me), False
        while True:
            latest = await self._latest()
            evidence = self._ports.observe(latest.owner)
            decision = Decision.TAKE
            if not takes_over:
                decision = watch.observe(latest, evidence, self._ports.clock())
            match decision:
                case Decision.TAKE:
                    if await self._try_acquire(latest.number + 1, evidence):
                        return
                    continue
                case Decision.REFUSE:
                    raise self._refusal(latest.owner)
                case Decision.AWAIT_LEASE if not is_reported:
                    is_reported = True
                    self._report_awaited(latest)
            await self._ports.pause(POLL_INTERVAL_S)

    async def keep(self) -> None:
        """Renew the lease until cancelled.

        A store that cannot be reached does not end the run, since no other run can take the lease
        there either. Raises ``FencedError`` if another run has taken it.
        """
        while True:
            started_s = self._ports.clock()
            try:
                await self.renew()
            except StoreError as error:
                self._warn_once(error)
            else:
                self._problem = ""
            elapsed_s = self._ports.clock() - started_s
            await self._ports.pause(max(RETRY_DELAY_S, RENEW_INTERVAL_S - elapsed_s))

    async def renew(self) -> None:
        """Show that this owner is alive; raises ``FencedError`` if it is not the owner any more."""
        # A run that took over while its predecessor was alive gets the folder's lock only now.
        self._me = replace(self._me, has_lock=bool(self._ports.observe(None).has_lock))
        await self._append(self._me)

    async def release(self) -> None:
        """Give up the lease; raises what ``renew`` raises."""
        await self._append(replace(self._me, is_released=True))

    async def remove(self) -> None:
        """Give up the lease and delete all its objects; raises what ``renew`` raises."""
        await self.release()
        await self._store.delete([_name(self._number)])

    # The sequence of objects

    async def _try_acquire(self, number: int, evidence: Evidence) -> bool:
        """Create this object of the sequence; return whether it is ours."""
        self._me = replace(self._me, has_lock=bool(evidence.has_lock))
        try:
            await self._store.create(_name(number), encode_owner(self._me))
        except AlreadyExistsError:
            # It is ours if the answer to an earlier attempt was lost.
            if not _is_same(await self._found(number), self._me):
                return False
        self._number = number
        try:
            await self._tidy()
        except FencedError:
            return False  # another run passed this number while we slept
        return True

    async def _append(self, owner: Owner) -> None:
        """Append `owner`, which is this process, to the sequence."""
        while True:
            number = self._number + 1
            try:
                await self._store.create(_name(number), encode_owner(owner))
            except AlreadyExistsError:
                found = await self._found(number)
                self._check_mine(found)
                self._number = number  # ours, with a lost answer; or damaged, so without an owner
                if found == owner:
                    break
            else:
                self._number = number
                break
        await self._tidy()

    async def _tidy(self) -> None:
        """Delete all but the end of the sequence, if that is ours.

        The number of an object that was deleted is free again, so creating it proves nothing to an
        owner that slept while a successor took over.
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

    async def _latest(self) -> LatestEntry:
        while numbers := await self._numbers():
            try:
                return LatestEntry(numbers[-1], await self._read(numbers[-1]))
            except MissingObjectError:
                continue  # it was renewed between these two requests
        return LatestEntry()

    async def _numbers(self) -> list[int]:
        names = [name for name, _ in await self._store.list(OWNER_FOLDER)]
        return sorted(number for name in names if (number := _number(name)) is not None)

    async def _found(self, number: int) -> Owner | None:
        """Do the same as ``_read``, but return ``None`` also if the object was deleted."""
        try:
            return await self._read(number)
        except MissingObjectError:
            return None

    async def _read(self, number: int) -> Owner | None:
        """Return the writer of an object of the sequence; ``None`` if it is damaged."""
        name = _name(number)
        try:
            return decode_owner(await self._store.get(name), self._store.describe(name))
        except DamagedFileError as error:
            facts = {"file": error.file, "damage": error.damage}
            self._ports.warn("lease.damaged", {**facts, "next": "uses the entries after it"})
            return None

    # Messages

    def _check_mine(self, owner: Owner | None) -> None:
        if owner is not None and not _is_same(owner, self._me):
            raise FencedError(
                f"the checkpoints in {self._store.location} were taken over by {owner.describe()}",
                "another wallaroo-run continues from these checkpoints; run only one at a time",
            )

    def _refusal(self, owner: Owner | None) -> ClusterError:
        who = "another process" if owner is None or owner.is_released else owner.describe()
        return ClusterError(
            f"the checkpoints in {self._store.location} belong to a run that is alive: {who}",
            hint="stop that run first, for instance with wallaroo-cluster stop; --take-over starts "
            "immediately and ends it",
        )

    def _report_awaited(self, latest: LatestEntry) -> None:
        self._ports.report(
            "lease.waiting",
            {
                "location": self._store.location,
                "owner": "cannot be read" if latest.owner is None else latest.owner.describe(),
                "hint": "--take-over does not wait",
                "next": f"starts if that run does not renew its lease within {LEASE_S:g} s",
            },
        )

    def _warn_once(self, error: StoreError) -> None:
        if not self._problem:
            facts = {"reason": error.what, "hint": error.hint}
            self._ports.warn(
                "lease.renewal_failed", {**facts, "next": "the run continues and tries again"}
            )
        self._problem = error.what


def _is_same(one: Owner | None, other: Owner | None) -> bool:
    return one is not None and other is not None and one.token == other.token


def _name(number: int) -> str:
    return f"{OWNER_FOLDER}{number:0{NUMBER_DIGITS}}"


def _number(name: str) -> int | None:
    digits = name.removeprefix(OWNER_FOLDER)
    is_number = len(digits) == NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if is_number else None
