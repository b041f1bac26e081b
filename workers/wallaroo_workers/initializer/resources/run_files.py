"""Checks the files of an application's sources and sinks before any worker is started.

Different paths may lead to the same file, and only this check on the host can find that. A run
holds a lock on each file that it writes, because a second run would write into the first's output.
"""

import fcntl
import os
import stat
from collections.abc import Iterator

from wallaroo.errors import ConfigError
from wallaroo.topology.plan import Application
from wallaroo_workers.forks import ours


class RunFiles:
    """The files of one run; relative paths start in ``folder``.

    Raises one ``ConfigError`` with all problems of these files. Changes nothing before ``hold``.
    """

    def __init__(self, plan: Application, folder: str) -> None:
        self._folder = folder
        self._uses: dict[str, str] = {}
        self._paths: list[str] = []
        self._held: list[int] = []
        problems: list[str] = []
        for pipeline in plan.pipelines:
            user = f"the source of pipeline {pipeline.name!r}"
            for path in pipeline.source.files:
                problems += self._source_problems(path, user)
        for sink in plan.sinks:
            if sink.path is not None:
                problems += self._sink_problems(sink.path)
        if problems:
            raise ConfigError("\n".join(problems))

    def hold(self) -> None:
        """Create missing output files, and lock all of them against other runs."""
        for path in self._paths:
            try:
                output = ours(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
                self._held.append(output)
                fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"the output file {path} is being written by another run",
                    hint="stop that run, or write to another file",
                ) from error
            except OSError as error:
                raise ConfigError(
                    f"the output file {path} cannot be written: {error.strerror}"
                ) from error

    def empty(self) -> None:
        """Empty the output files: a run without a checkpoint replaces them."""
        for output in self._held:
            os.ftruncate(output, 0)

    def release(self) -> None:
        """Release the files for other runs."""
        for output in self._held:
            os.close(output)
        self._held.clear()

    def _source_problems(self, path: str, user: str) -> Iterator[str]:
        place = os.path.join(self._folder, path)
        try:
            mode = os.stat(place).st_mode
            if not stat.S_ISREG(mode):
                yield f"{user} reads {path}, which is {_kind(mode)}; give a file"
                return
            with open(place, "rb"):
                self._uses.setdefault(os.path.realpath(place), f"{user} reads")
        except OSError as error:
            yield (
                f"{user} reads {path}, which cannot be read: {error.strerror}; put the file there, "
                "or correct the path"
            )

    def _sink_problems(self, path: str) -> Iterator[str]:
        place = os.path.realpath(os.path.join(self._folder, path))
        if (used := self._uses.get(place)) is not None:
            yield f"a sink writes to {path}, the file that {used}; give it a file of its own"
        self._uses.setdefault(place, "another sink writes")
        self._paths.append(place)
        try:
            mode = os.stat(place).st_mode
            if not stat.S_ISREG(mode):
                yield f"a sink writes to {path}, which is {_kind(mode)}; give a file"
                return
        except FileNotFoundError:
            place = os.path.dirname(place)
            if not os.path.isdir(place):
                yield f"a sink writes to {path}, but there is no folder {place}; make it"
                return
        except OSError as error:
            yield f"a sink writes to {path}, which cannot be reached: {error.strerror}"
            return
        if not os.access(place, os.W_OK):
            yield f"a sink writes to {path}, but {place} cannot be written; give permission there"


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "not a regular file"
