"""Keeps two clusters from using one folder for their journals.

Journals are named after workers, and most clusters have a ``w1``. In a shared folder a cluster
would replay, and later delete, input that the other one has accepted.
"""

from pathlib import Path

from wallaroo.errors import ConfigError
from wallaroo_workers.storage import files
from wallaroo_workers.storage.failures import disk_error

MARKER = "belongs-to"


def claim_folder(folder: Path, location: str) -> None:
    """Note in `folder` that its journals belong to the checkpoints at `location`.

    A folder within the one of the checkpoints belongs to these anyway. Raises ``ConfigError`` if
    it belongs to other checkpoints, and ``StoreError`` if it cannot be used.
    """
    location = location.rstrip("/")
    if "://" not in location and folder.is_relative_to(location):
        return
    marker = folder / MARKER
    try:
        try:
            files.write_durably(marker, location.encode() + b"\n")
        except FileExistsError:
            found = marker.read_text(encoding="utf-8", errors="replace").strip()
        else:
            return
    except OSError as error:
        raise disk_error(error, f"write {marker}") from error
    if found != location:
        raise ConfigError(
            f"the journals in {folder} belong to the checkpoints at {found}, not at {location}",
            hint="give each cluster a --journal-dir of its own; if these checkpoints were moved, "
            f"remove {marker}",
        )
