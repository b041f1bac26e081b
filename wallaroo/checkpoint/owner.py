"""The owner of a store of checkpoints: what it writes there, and whether it is still alive."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgpack

from wallaroo.checkpoint.blocks import (
    HEADER_BYTES,
    FileKind,
    encode_block,
    encode_header,
    read_blocks,
)
from wallaroo.errors import DamagedFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One process that owns, or owned, the checkpoints of a store.

    A process id alone identifies nothing: the system reuses it, and in every container the first
    process has 1. If the system does not provide a value, a text is empty and ``started_ticks`` is
    0.
    """

    token: str
    """A random text that no other process has."""
    host: str
    machine: str
    """The system's id of this installation; two hosts may have the same name."""
    boot: str
    """The id of this boot of the kernel; all containers of a machine share it."""
    pid: int
    started_ticks: int
    """When the process was started, in clock ticks since the boot."""
    pid_space: str
    """The namespace of ``pid``."""
    net_space: str
    """The network namespace, within which its beacon is visible."""
    application: str
    since_unix_s: float
    """When it became the owner, by the clock of its host."""
    has_lock: bool = False
    """Whether it holds the lock of the folder that the store is."""
    is_released: bool = False
    """Whether it has stopped in order, so that the store has had no owner since."""

    def describe(self) -> str:
        """Return who this is and since when, for messages."""
        since = datetime.fromtimestamp(self.since_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return (
            f"process {self.pid} on host {self.host} (application {self.application}, "
            f"since {since})"
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What this process can observe about an owner; ``None`` if it cannot find out.

    Each observation counts only if an owner that is alive would be visible from here: see
    ``verdict``.
    """

    process_lives: bool | None = None
    """Whether a process with its id and its start time runs in this namespace."""
    beacon_is_lit: bool | None = None
    """Whether a process of this network namespace holds the name with the owner's token."""
    has_lock: bool | None = None
    """Whether this process holds the folder's lock; ``False`` if another process does."""


class Verdict(Enum):
    """What the evidence proves."""

    LIVES = "lives"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """Only time can show it: an owner that is alive renews its lease."""


def verdict(owner: Owner, me: Owner, evidence: Evidence) -> Verdict:
    """Return whether `owner` is alive, as far as `me` can know.

    The system reuses the inode of a namespace after the namespace has ended, so equal inodes prove
    nothing about the past. But an owner that is alive keeps its namespaces alive, so it must then
    be visible from here.
    """
    if evidence.has_lock is False:
        return Verdict.LIVES
    if not (owner.boot and me.boot):
        return Verdict.UNKNOWN
    if owner.boot != me.boot:
        # Either this machine was rebooted, or this container was started on another machine.
        is_here = owner.host == me.host and owner.machine == me.machine
        return Verdict.DEAD if is_here else Verdict.UNKNOWN
    if owner.pid_space and owner.pid_space == me.pid_space:
        return _known(evidence.process_lives)
    if owner.net_space and owner.net_space == me.net_space:
        return _known(evidence.beacon_is_lit)
    if owner.has_lock and evidence.has_lock:
        return Verdict.DEAD
    # It ran in another container of this machine. If it has our name, it was our predecessor.
    return Verdict.DEAD if owner.host == me.host else Verdict.UNKNOWN


def _known(lives: bool | None) -> Verdict:
    if lives is None:
        return Verdict.UNKNOWN
    return Verdict.LIVES if lives else Verdict.DEAD


def encode_owner(owner: Owner) -> bytes:
    """Return the bytes of an owner's object."""
    body: bytes = msgpack.packb(asdict(owner), unicode_errors="surrogatepass")
    return encode_header(FileKind.OWNER) + encode_block(body)


def decode_owner(data: bytes, file: str) -> Owner:
    """Return the owner in the bytes of `file`; ``DamagedFileError`` if there is none."""
    blocks = list(read_blocks(data, FileKind.OWNER, file))
    try:
        (block,) = blocks
        values: dict[str, Any] = msgpack.unpackb(block.body, unicode_errors="surrogatepass")
        return Owner(**values)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DamagedFileError(file, HEADER_BYTES, f"it does not name an owner: {error}") from error
