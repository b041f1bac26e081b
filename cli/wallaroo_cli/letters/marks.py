"""Marks of the letters that were sent again, so that none is sent twice.

They stand in a file beside the letters. A batch is noted before it is sent, and again when the
cluster has taken it; both notes are durable before anything else happens. So a letter of a batch
that was interrupted may have arrived or not. It is *unsure*, and not sent again unless that is
asked for.

A letter is known by all that stands in it, so its file may be moved, or other lines removed.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from wallaroo.errors import ClusterError, DamagedFileError
from wallaroo_cli.letters.reading import Letter
from wallaroo_workers.line_file import LineFile

FILE = "replayed"

State = Literal["", "replayed", "unsure"]
Kind = Literal["sending", "sent", "unsent"]


class Marks:
    """What the file says, letter by letter.

    Of equal letters the first ones that are asked about are those that were sent.
    """

    def __init__(self, folder: Path) -> None:
        noted: dict[str, Counter[str]] = {kind: Counter() for kind in ("sending", "sent", "unsent")}
        path, offset = folder / FILE, 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            if not line.endswith(b"\n"):
                break  # nothing is sent before the whole line is durable
            try:
                note = json.loads(line)
                noted[note["kind"]].update(note["letters"])
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedFileError(
                    str(path),
                    offset,
                    "this line is not a mark, so it is not known what was sent again",
                    hint="move the file away if all letters may be sent again",
                ) from error
            offset += len(line)
        self._sent = noted["sent"]
        self._unsure = noted["sending"] - noted["sent"] - noted["unsent"]

    def take(self, letter: Letter) -> State:
        """Return what is known of a letter; every letter of the folder is asked about once."""
        if self._sent[letter.digest] > 0:
            self._sent[letter.digest] -= 1
            return "replayed"
        if self._unsure[letter.digest] > 0:
            self._unsure[letter.digest] -= 1
            return "unsure"
        return ""


class MarkWriter:
    """Notes what is sent; one process at a time can."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = LineFile(folder / FILE)
        except BlockingIOError as error:
            raise ClusterError(
                f"another `replay` works on the letters in {folder}",
                hint="wait until it is done, and see `list` for what it has sent",
            ) from error
        except OSError as error:
            raise _not_noted(folder / FILE, error) from error

    def note(self, kind: Kind, letters: Sequence[Letter]) -> None:
        """Note what happens to letters; durable on return. Raises ``ClusterError``."""
        note = {
            "time": datetime.now(UTC).isoformat(),
            "kind": kind,
            "letters": [letter.digest for letter in letters],
        }
        try:
            self._file.append(json.dumps(note).encode() + b"\n")
            self._file.sync()
        except OSError as error:
            raise _not_noted(self._file.path, error) from error

    def close(self) -> None:
        """Let others send."""
        self._file.close()


def _not_noted(path: Path, error: OSError) -> ClusterError:
    return ClusterError(
        f"cannot note in {path} what is sent again: {error.strerror or error}",
        hint="make room or permission there; nothing is sent that is not noted before",
    )
