"""Starts worker processes as children of this process, and reports when they end.

``agents.py`` is the other placement: processes on the hosts of agents.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.statuses import ExitStatus
from wallaroo_workers.forks import starting_program
from wallaroo_workers.initializer.placement.private_folders import PrivateFolder, remove_leftovers
from wallaroo_workers.leftovers import MARK, Leftovers, new_mark
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.streams import STDIN

log = get_logger()

KILL_AFTER_S = 5.0
FILES_TO_START = 8
"""More open files than the pipes of a new process need in this process."""

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
"""glibc's allocator keeps the memory of a batch for the next one, instead of returning each freed
block to the system and getting new pages: 9 instead of 23 microseconds a record with payloads of
10 KiB (measured). The user's own environment takes precedence."""


class ProcessEvents(Protocol):
    """Handles the ends of processes that a placement has started."""

    def worker_lost(
        self, worker: WorkerName, incarnation: Epoch, reason: str, *, has_hung: bool = False
    ) -> None:
        """Handle the end of a worker's process; called once for each, with the reason as text.

        ``has_hung``: it ended itself because a source or sink in it did not return.
        """
        ...


class Placement(Protocol):
    """Starts worker processes somewhere and watches them."""

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a worker, report its end to ``events``, and return its process id."""
        ...

    async def stop(self) -> None:
        """Wait until no process is left; kill those that do not end in time."""
        ...

    def kill(self, worker: WorkerName) -> None:
        """Kill what is left of this worker's process."""
        ...

    async def ended(self, worker: WorkerName) -> None:
        """Wait until nothing is left of this worker's process."""
        ...


class LocalPlacement:
    """Worker processes on this machine."""

    def __init__(
        self, on_status: Callable[[int], None] | None = None, *, passes_stdin: bool = False
    ) -> None:
        """``on_status`` gets the exit status of each process; below 0, it is the signal, negated.

        It is called before the end of the process is reported. With ``passes_stdin`` all workers
        have this process's standard input, because any of them may come to read it.
        """
        self._on_status = on_status
        self._passes_stdin = passes_stdin
        self._processes: dict[WorkerName, asyncio.subprocess.Process] = {}
        self._watching: dict[WorkerName, asyncio.Task[None]] = {}
        """By worker: runs until nothing is left of its process, the children included."""
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a child process, and send it its settings, which include the secret, by a pipe."""
        if not self._processes:
            remove_leftovers()
        folder = PrivateFolder()
        settings = dataclasses.replace(settings, private_folder=folder.path)
        mark = new_mark()
        try:
            process = await _started(settings, mark, passes_stdin=self._passes_stdin)
        except OSError as error:
            folder.remove()
            raise ClusterError(
                f"a worker process cannot be started: {sys.executable}: {error.strerror}",
                hint="let the user of this process run it, and have as many processes and open "
                "files (ulimit -u, ulimit -n)",
            ) from error
        assert process.stdin is not None
        try:
            # The pipe stays open: its end shows the worker that this process has ended.
            process.stdin.write(settings.to_json() + b"\n")
        except RuntimeError:
            pass  # the process has ended already; uvloop raises this then
        name = WorkerName(settings.name)
        self._processes[name] = process
        ended = partial(events.worker_lost, name, Epoch(settings.incarnation))
        leftovers = Leftovers(process.pid, mark)
        watcher = asyncio.create_task(self._watch(name, process, folder, leftovers, ended))
        self._watching[name] = watcher
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return process.pid

    async def _watch(
        self,
        worker: WorkerName,
        process: asyncio.subprocess.Process,
        folder: PrivateFolder,
        leftovers: Leftovers,
        ended: Callable[..., None],
    ) -> None:
        status = await process.wait()
        count = await asyncio.to_thread(leftovers.end)
        if count:
            following = "they are not needed any more"
            log.info(
                "worker.child_processes_ended", worker=worker, process_count=count, next=following
            )
        folder.remove()
        if self._on_status is not None:
            self._on_status(status)
        ended(_reason(status), has_hung=status == ExitStatus.STUCK)

    def kill(self, worker: WorkerName) -> None:
        """End what is left of this worker's process."""
        process = self._processes.get(worker)
        if process is not None and process.returncode is None:
            process.kill()

    def ask_to_stop(self, worker: WorkerName) -> bool:
        """Send SIGTERM, so that the worker asks to stop the cluster; return whether it runs."""
        process = self._processes.get(worker)
        if process is None or process.returncode is not None:
            return False
        process.terminate()
        return True

    async def ended(self, worker: WorkerName) -> None:
        """Return when nothing is left of this worker's process."""
        if (watcher := self._watching.get(worker)) is not None:
            await asyncio.wait([watcher])

    async def stop(self) -> None:
        """Wait for the children to end; kill those that do not."""
        if self._watchers:
            await asyncio.wait(list(self._watchers), timeout=KILL_AFTER_S)
        for worker in self._processes:
            self.kill(worker)
        if self._watchers:
            await asyncio.wait(list(self._watchers))


class PlacementByName:
    """Starts a worker ``there`` if that placement ``knows`` its name, else ``here``."""

    def __init__(
        self, here: Placement, there: Placement, knows: Callable[[WorkerName], bool]
    ) -> None:
        self._here = here
        self._there = there
        self._knows = knows

    def _of(self, worker: WorkerName) -> Placement:
        return self._there if self._knows(worker) else self._here

    async def start(self, settings: WorkerSettings, events: ProcessEvents) -> int:
        """Start a worker, report its end to ``events``, and return its process id."""
        return await self._of(WorkerName(settings.name)).start(settings, events)

    def kill(self, worker: WorkerName) -> None:
        """End what is left of this worker's process."""
        self._of(worker).kill(worker)

    async def ended(self, worker: WorkerName) -> None:
        """Return when nothing is left of this worker's process."""
        await self._of(worker).ended(worker)

    async def stop(self) -> None:
        """Wait until no process is left in either placement."""
        await asyncio.gather(self._here.stop(), self._there.stop())


async def _started(
    settings: WorkerSettings, mark: str, *, passes_stdin: bool
) -> asyncio.subprocess.Process:
    """Start a worker's process, which waits for its settings. Raises ``OSError``."""
    _check_free_files()
    environment = ALLOCATOR | os.environ | {MARK: mark}
    environment.pop(STDIN, None)
    with contextlib.ExitStack() as opened:
        passed: tuple[int, ...] = ()
        if passes_stdin:
            # Descriptor 0 of the worker is the pipe for its settings until it has read them.
            passed = (os.dup(0),)
            opened.callback(os.close, passed[0])
            environment[STDIN] = str(passed[0])
        opened.enter_context(starting_program())
        return await asyncio.create_subprocess_exec(
            sys.executable,
            # Without -P, a file of the user, such as click.py, would shadow the library.
            "-P",
            "-m",
            "wallaroo_workers",
            stdin=asyncio.subprocess.PIPE,
            pass_fds=passed,
            # Signals of the terminal are for the initializer, which stops the workers in order.
            start_new_session=True,
            env=environment,
            # The application may have changed the current folder of this process.
            cwd=settings.application.folder or None,
        )


def _check_free_files() -> None:
    """Raise ``OSError`` if there are too few free files for the pipes of a process.

    uvloop would raise it as well, but leaves a broken transport that prints a traceback.
    """
    with contextlib.ExitStack() as opened:
        for _ in range(FILES_TO_START):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))


def _reason(status: int) -> str:
    if status >= 0:
        return f"the process ended with status {status}"
    try:
        return f"the process was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"the process was ended by signal {-status}"
