"""Keys of a checkpoint whose objects cannot be unpickled: they end the run, or are listed."""

import json
from datetime import UTC, datetime
from pathlib import Path

from wallaroo.checkpoint.restorer import UnreadableKey, unreadable_error
from wallaroo.errors import StoreError
from wallaroo.routing.key_text import text_of_key
from wallaroo_workers.line_file import LineFile
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import RunOptions

log = get_logger()


class UnreadableKeys:
    """The list of one worker, beside its dead letters; created when the first key is left out."""

    def __init__(self, options: RunOptions, application: str, worker: str) -> None:
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in application)
        self._path = Path(options.dead_letters) / f"{name}-{worker}.unreadable-keys"
        self._may_skip = options.skip_unreadable_keys

    def leave_out(self, checkpoint: int, keys: list[UnreadableKey]) -> None:
        """List the keys and log that. Raises ``StateObjectError`` if no key may be left out.

        Raises ``StoreError`` if they cannot be listed, because nobody would know which are lost.
        """
        if not self._may_skip:
            raise unreadable_error(checkpoint, keys)
        time = datetime.now(UTC).isoformat()
        lines = [self._line(time, checkpoint, key) for key in keys]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = LineFile(self._path)
            file.append("".join(lines).encode())
            file.sync()
            file.close()
        except OSError as error:
            raise StoreError(
                f"keys that cannot be read cannot be listed in {self._path}: {error}",
                "make room or permission there; keys are left out only after they are listed",
            ) from error
        log.warning(
            "keys.skipped",
            checkpoint=checkpoint,
            key_count=len(keys),
            first=str(keys[0]),
            reason=keys[0].problem,
            path=str(self._path),
            next="goes on without these keys, and the next checkpoint does not have them",
        )

    @staticmethod
    def _line(time: str, checkpoint: int, key: UnreadableKey) -> str:
        kind, text = text_of_key(key.key)
        values = {
            "time": time,
            "checkpoint": checkpoint,
            "state": key.state,
            "key_type": kind,
            "key": text,
            "problem": key.problem,
        }
        return json.dumps(values) + "\n"
