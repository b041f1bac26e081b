"""Writes files that exist completely or not at all after a crash or a loss of power."""

import errno
import os
import re
import secrets
from pathlib import Path

_UNFINISHED = re.compile(r"#\d+$")
"""The end of a file's name until the file is complete; obstore does not list such names."""


def write_durably(path: Path, data: bytes) -> None:
    """Write `data` to a new file at `path`, durable together with the entry in its folder.

    Raises ``FileExistsError`` if the file exists, and leaves it unchanged. After another
    ``OSError`` the file may exist, complete, or not.
    """
    staged = path.with_name(f"{path.name}#{secrets.randbits(60)}")
    try:
        _write_staged(staged, data)
        _link(staged, path)
        _publish(path)
    finally:
        _discard(staged)


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents, durably, for this user only.

    Checkpoints hold pickles, so a user who can write there can run code as this user.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove(path: Path) -> None:
    """Remove the file at `path`, if it is there, and its folder once that is empty."""
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:
        pass  # not empty, or gone


def remove_unfinished(folder: Path) -> int:
    """Remove files that crashed writers left in and below ``folder``; return their number."""
    left = [path for path in folder.rglob("*#*") if _UNFINISHED.search(path.name)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _write_staged(staged: Path, data: bytes) -> None:
    try:
        file = staged.open("xb")
    except FileNotFoundError:
        make_folder(staged.parent)  # first object there, or the folder went as it became empty
        file = staged.open("xb")
    with file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _link(staged: Path, path: Path) -> None:
    try:
        os.link(staged, path)
    except FileExistsError:
        sync_folder(path.parent)  # before anyone relies on the object's existence
        raise


def _publish(path: Path) -> None:
    """Make the entry of ``path`` durable; its errors must not look like errors of writing."""
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise OSError(errno.EIO, f"{error.strerror}, when its folder was written") from error


def _discard(staged: Path) -> None:
    try:
        staged.unlink(missing_ok=True)
    except OSError:
        pass  # what went wrong before tells more
