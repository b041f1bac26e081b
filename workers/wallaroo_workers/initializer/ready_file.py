"""The file that tells scripts that the application is ready, and where."""

import json
import os
from pathlib import Path
from typing import Any

import structlog

from wallaroo.errors import ConfigError

log = structlog.get_logger()


class ReadyFile:
    """There while, and only while, the application is ready; written whole or not at all."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path is not None else None
        if self._path is not None and not self._path.absolute().parent.is_dir():
            raise ConfigError(
                f"there is no folder {self._path.parent} for the ready file",
                hint="make it, or give another place with --ready-file",
            )
        self.remove()

    def write(self, facts: dict[str, Any]) -> None:
        """Write ``facts`` as JSON."""
        if self._path is None:
            return
        draft = self._path.with_name(self._path.name + f".{os.getpid()}")
        draft.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        draft.replace(self._path)

    def remove(self) -> None:
        """The application is not ready, or not any more; a file that stays is no reason to end."""
        if self._path is None:
            return
        try:
            self._path.unlink(missing_ok=True)
        except NotADirectoryError:
            # Its folder is gone, and the file with it.
            pass
        except OSError as error:
            log.warning(
                "ready_file.not_removed",
                path=str(self._path),
                reason=error.strerror,
                hint="it tells of a readiness that has ended; remove it",
            )
