"""Child processes of our actors: ``wallaroo-run`` as initializer and as agent."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


class Child:
    """One process of ``wallaroo-run``, which ends with ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(
        cls, arguments: Sequence[str], folder: str, inherited: Sequence[int] = ()
    ) -> "Child":
        """Start the command in a folder; empty for the current one."""
        # The folder of the application may have a module with the name of one of ours, so nothing
        # is imported from there first.
        tether = [sys.executable, "-P", "-m", "wallaroo_cli.homes.tethered", str(os.getpid())]
        process = await asyncio.create_subprocess_exec(
            *tether,
            *arguments,
            cwd=folder or None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.__stderr__,
            pass_fds=inherited,
        )
        return cls(process)

    @property
    def has_children(self) -> bool:
        """Whether the process has processes of its own: an agent has one if it runs a worker."""
        pid = self._process.pid
        try:
            return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        except OSError:
            return False

    def stop(self) -> None:
        """Ask it to stop in order; a second time: to stop immediately."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Return its exit status; negative: the signal that killed it."""
        return await self._process.wait()
