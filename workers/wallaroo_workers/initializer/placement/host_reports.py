"""Reports to a supervisor how many hosts a run needs (``--homes-fd``)."""

import json
import os
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo_workers.logs import get_logger

log = get_logger()


class HostReports:
    """Writes one line of JSON to a file descriptor whenever the numbers have changed."""

    def __init__(self, fd: int | None) -> None:
        """``fd`` is the supervisor's; ``None`` for no reports. Raises ``ConfigError``."""
        self._fd = fd
        self._reported: dict[str, Any] = {}
        self._rest = b""
        """What the pipe did not take of the last line."""
        if fd is not None:
            try:
                os.set_blocking(fd, False)
                os.set_inheritable(fd, False)
            except OSError as error:
                raise ConfigError(
                    f"--homes-fd: descriptor {fd} cannot be used: {error.strerror}",
                    hint="give the number of a pipe that this command inherits",
                ) from error

    @property
    def are_read(self) -> bool:
        """Whether a supervisor reads the numbers."""
        return self._fd is not None

    def report(self, counts: dict[str, Any]) -> None:
        """Write the numbers if they differ from the last ones that were written."""
        if self._fd is None:
            return
        line = b"" if counts == self._reported else json.dumps(counts).encode() + b"\n"
        before, data = len(self._rest), self._rest + line
        if not data:
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            return  # the pipe is full: the next call tries again, with newer numbers
        except OSError as error:
            log.warning("host_counts.dropped", reason=str(error), next="no more are reported")
            self._fd = None
            return
        # A line that was begun is finished first, so a supervisor never reads a part of one.
        if written > before:
            self._reported, self._rest = counts, data[written:]
        else:
            self._rest = self._rest[written:]
