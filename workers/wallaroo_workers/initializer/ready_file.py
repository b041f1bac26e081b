"""The file that tells scripts that the application is ready, and where."""

import json
import os
from pathlib import Path
from typing import Any

from wallaroo.errors import ConfigError


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
        """The application is not ready, or not any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
