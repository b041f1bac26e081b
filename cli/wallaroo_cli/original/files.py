"""What processes of the original's kind leave for each other, and for their successors.

Each worker has a file in the resilience folder, or in one of the user's own where none was given::

    MODULE.cluster            the secret of the cluster and where its initializer listens
    MODULE-NAME.worker        this worker was here: a process that finds it is its successor
    MODULE-ID.checkpoints     with ``--run-with-resilience``; the initializer's file has ID

All of them are deleted by a stop in order and stay when processes are killed. Only the user can
read them. Without its worker file an initializer starts afresh, in a folder of its own.
"""

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wallaroo.errors import ClusterError

SECRET_BYTES = 32
ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Card:
    """What a process needs to know to reach the cluster's initializer."""

    secret: str
    """Hexadecimal."""
    control: str


@dataclass(frozen=True, slots=True)
class Traces:
    """What a worker leaves."""

    members: list[str] = field(default_factory=list)
    """The initializer's: who was in the cluster last."""
    checkpoints: str = ""
    """The initializer's: the name of the folder with its checkpoints."""
    control: str = ""
    """Where the worker listened: a successor is started by the same line."""


class Files:
    """The files of one process; ``address`` names the cluster where no folder was given."""

    def __init__(self, folder: str, module: str, name: str, address: str) -> None:
        self.folder = Path(folder).absolute() if folder else runtime_folder()
        cluster = module if folder else address.replace("/", "-")
        self._card = self.folder / f"{cluster}.cluster"
        self._traces = self.folder / f"{cluster}-{name}.worker"
        self._cluster = cluster

    # The card

    def read_card(self) -> Card | None:
        """Return what the initializer wrote; ``None`` where there is nothing yet."""
        text = _read_own(self._card)
        return None if text is None else Card(**json.loads(text))

    def write_card(self, control: str) -> Card:
        """Tell the others where the initializer is; the secret stays as long as the file does."""
        before = self.read_card()
        card = Card(secrets.token_hex(SECRET_BYTES) if before is None else before.secret, control)
        _write_own(self._card, json.dumps(asdict(card)))
        return card

    def copy_card(self, card: Card, address: str) -> None:
        """Make the cluster findable for clients that know only this worker's address."""
        _write_own(self.folder / f"{address.replace('/', '-')}.cluster", json.dumps(asdict(card)))

    # Traces

    def read_traces(self) -> Traces | None:
        """Return what this worker's predecessor left, if it was killed."""
        text = _read_own(self._traces)
        return None if text is None else Traces(**json.loads(text))

    def write_traces(self, traces: Traces) -> None:
        """Leave them for a successor."""
        _write_own(self._traces, json.dumps(asdict(traces)))

    def new_checkpoints(self) -> str:
        """Return the name of a folder that nobody has used."""
        return f"{self._cluster}-{secrets.token_hex(ID_BYTES)}.checkpoints"

    def checkpoints(self, traces: Traces) -> Path:
        """Return where the checkpoints are."""
        return self.folder / traces.checkpoints

    def remove(self, traces: Traces | None, addresses: Iterable[str] = ()) -> list[Path]:
        """Delete what this worker has left; with ``traces`` all of an initializer. Return what."""
        gone = [self._traces]
        gone += [self.folder / f"{each.replace('/', '-')}.cluster" for each in addresses]
        if traces is not None:
            gone.append(self._card)
            if traces.checkpoints:
                shutil.rmtree(self.checkpoints(traces), ignore_errors=True)
        for path in gone:
            path.unlink(missing_ok=True)
            _draft(path).unlink(missing_ok=True)
        return gone


def runtime_folder() -> Path:
    """Return a folder of the user's own for what lives as long as processes; make it."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base, "wallaroo") if base else Path("/tmp", f"wallaroo-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_own(folder, folder.lstat())
    return folder


def _read_own(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ClusterError(f"{path} cannot be read: {error.strerror}") from error
    with open(descriptor, encoding="utf-8") as file:
        _check_own(path, os.fstat(descriptor))
        return file.read()


def _write_own(path: Path, text: str) -> None:
    """Write a file whole or not at all, that only the user can read."""
    draft = _draft(path)
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise ClusterError(f"{path} cannot be written: {error.strerror}") from error


def _draft(path: Path) -> Path:
    """Return where a file is written; one process writes it, and its successor writes it anew."""
    return path.with_name(f".{path.name}.draft")


def _check_own(path: Path, found: os.stat_result) -> None:
    """Refuse what another user made, or may have read: it was to hold a secret."""
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ClusterError(
            f"{path} belongs to another user, or others can read it",
            hint="remove it, or give a --resilience-dir of your own",
        )
