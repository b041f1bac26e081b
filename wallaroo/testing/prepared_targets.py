"""Simulated targets that prepare work.

Rows that were written belong to the opener of a slot, and are lost if the slot is opened again.
What is prepared outlives its process: it becomes visible with ``commit``, and goes with ``abort``.
Requests travel as in ``wallaroo.testing.targets``: they may arrive long after their process ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import Manifest


@dataclass(slots=True)
class _Slot:
    fence: int = 0
    """How often it was opened; requests of an earlier opener are refused."""
    written: list[Any] = field(default_factory=list)
    prepared: dict[bytes, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visible:
    """Work that was committed."""

    sink: int
    token: bytes
    rows: list[Any] = field(repr=False)


class PreparedTargets:
    """The targets of all sinks of two phases, for all processes."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self._token_count = 0
        self.visible: list[Visible] = []
        self.away_until_s = 0.0

    def open(self, slot: str) -> int:
        """Exclude earlier openers, and drop what they wrote and did not prepare."""
        known = self._slots.setdefault(slot, _Slot())
        known.fence += 1
        known.written = []
        return known.fence

    def write(self, slot: str, fence: int, rows: list[Any]) -> bool:
        """Write rows; return whether the writer may do that."""
        known = self._slots[slot]
        if known.fence == fence:
            known.written += rows
        return known.fence == fence

    def prepare(self, slot: str, fence: int) -> bytes | None:
        """Prepare what was written; return its token, or ``None`` if there is nothing.

        Raises ``PermissionError`` for an earlier opener.
        """
        known = self._slots[slot]
        if known.fence != fence:
            raise PermissionError(slot)
        if not known.written:
            return None
        self._token_count += 1
        token = f"{slot} {self._token_count}".encode()
        known.prepared[token], known.written = known.written, []
        return token

    def tokens(self, slot: str) -> list[bytes]:
        """Return what is prepared in a slot."""
        return [*self._slots[slot].prepared]

    def commit(self, sink: int, token: bytes) -> None:
        """Make this visible, unless it is."""
        if (rows := self._taken(token)) is not None:
            self.visible.append(Visible(sink, token, rows))

    def abort(self, token: bytes) -> None:
        """Give this up, unless it is visible."""
        self._taken(token)

    def _taken(self, token: bytes) -> list[Any] | None:
        slot, _, _ = token.decode().rpartition(" ")
        return self._slots[slot].prepared.pop(token, None)

    def left(self) -> list[bytes]:
        """Return all work that is prepared, and neither committed nor aborted."""
        return [token for slot in self._slots.values() for token in slot.prepared]


def two_phase_output(targets: PreparedTargets, sink: int, line: Sequence[Manifest]) -> list[Any]:
    """Return the visible rows of a sink that belong to these manifests, in order of commits."""
    named = _named(line)
    return [
        row
        for each in targets.visible
        if each.sink == sink and each.token in named
        for row in each.rows
    ]


def uncalled_for(targets: PreparedTargets, manifests: Sequence[Manifest]) -> list[str]:
    """Return a line for work that became visible though no manifest ever named it, or is left.

    Only slots of workers that were always members are looked at. If a run ends before a manifest
    names a worker that has joined, or goes back to an older one, the next run may have different
    workers, and then nobody knows of its slot; nor does a worker that joins under its name.
    """
    named = _named(manifests)
    known = set.intersection(*({*each.members} for each in manifests)) if manifests else set()
    return [
        *(
            f"{each.token!r} was committed, and no checkpoint names it"
            for each in targets.visible
            if each.token not in named
        ),
        *(
            f"{token!r} was neither committed nor aborted"
            for token in targets.left()
            if _worker_of(token) in known
        ),
    ]


def _worker_of(token: bytes) -> str:
    slot, _, _ = token.decode().rpartition(" ")
    return slot.rpartition(".")[2]


def _named(manifests: Sequence[Manifest]) -> set[bytes]:
    return {
        prepared.token
        for manifest in manifests
        for share in manifest.workers.values()
        for prepared in share.prepared
    }
