"""The initializer's process, as a child of the manager."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo_cli.homes.ray_home.children import Child
from wallaroo_cli.homes.ray_home.credentials import Credentials
from wallaroo_cli.homes.ray_home.spec import RaySpec
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.control_client import answer_of
from wallaroo_cli.tools.dashboard_client import DashboardClient
from wallaroo_cli.tools.running_clusters import Target
from wallaroo_workers.run_file import living_runs

READY = "ready.json"
AGENT_TIMEOUT_S = 600
"""How long the run waits for a host, if the user says nothing: Ray may have to add a node first."""


class Initializer:
    """One life of the initializer."""

    def __init__(
        self, child: Child, credentials: Credentials, folder: str, wanted: Callable[[int], None]
    ) -> None:
        """``wanted`` is called with the number of hosts that it wants."""
        self._child = child
        self.credentials = credentials
        self._folder = folder
        self._wanted = wanted
        self.control = ""
        """Where agents join; empty until it listens."""
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def started(
        cls, spec: RaySpec, address: str, worker_count: int, wanted: Callable[[int], None]
    ) -> "Initializer":
        """Start it on this node, to wait for so many workers."""
        credentials = Credentials.made()
        reads, writes = os.pipe()
        arguments = [
            f"--application-module={spec.module}",
            *spec.module_paths,
            "--workers=0",
            f"--expect-workers={worker_count}",
            f"--standby={spec.standby}",
            f"--control={address}:0",
            f"--homes-fd={writes}",
            f"--agent-timeout={AGENT_TIMEOUT_S}",
            f"--ready-file={credentials.folder / READY}",
            # The page is for the manager alone, which reads there how busy workers are.
            "--no-dashboard" if spec.autoscale is None else "--dashboard=127.0.0.1:0",
            *(["--take-over"] if spec.takes_over else []),
            *credentials.options,
            *spec.initializer,
            *spec.arguments,
        ]
        try:
            child = await Child.started(arguments, spec.folder, [writes])
        finally:
            os.close(writes)
        initializer = cls(child, credentials, spec.folder, wanted)
        initializer.read_reports(reads)
        return initializer

    def read_reports(self, descriptor: int) -> None:
        """Read what it writes to ``--homes-fd``, until its end."""
        self._reading = asyncio.get_running_loop().create_task(self._read(descriptor))

    async def _read(self, descriptor: int) -> None:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        with contextlib.closing(transport):
            # Without its end, a line is what a process that was killed had written of it.
            while (line := await stream.readline()).endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    report = json.loads(line)
                    self.control = report["control"]
                    self._wanted(report["wanted"])

    @property
    def is_ready(self) -> bool:
        """Whether the application is ready."""
        return (self.credentials.folder / READY).exists()

    def stop(self) -> None:
        """Stop the run in order; a second time: immediately."""
        self._child.stop()

    async def wait(self) -> int:
        """Return the exit status; afterwards its secret is worth nothing."""
        status = await self._child.wait()
        if self._reading is not None:
            await self._reading
        self.credentials.remove()
        return status

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return its answer to a request. Raises ``WallarooError``."""
        secret = self.credentials.content["secret"]
        address = parse_address(self.control, "the initializer's address")
        target = Target(address, secret, self.credentials.tls)
        return await answer_of(target, method, params)

    async def cpu_shares(self) -> list[float]:
        """Return the share of a core that each worker uses; none if it cannot be told."""
        runs = living_runs(Path(self._folder or Path.cwd()))
        run = next((each for each in runs if each["control"] == self.control), None)
        if run is None or not run["dashboard"]:
            return []
        authority = self.credentials.tls.authority
        client = DashboardClient(run["dashboard"], run["secret"], authority)
        try:
            snapshot = await asyncio.to_thread(client.snapshot)
        except WallarooError:
            return []
        return [worker["cpu_share"] or 0.0 for worker in snapshot["workers"]]
