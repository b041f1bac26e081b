"""The actor that is one host: it runs an agent, again and again, until it is not needed."""

import asyncio
import time
from typing import Any

from wallaroo.homes.restarts import AgentRestarts
from wallaroo_cli.homes.ray_home.calls import RayCalls
from wallaroo_cli.homes.ray_home.children import Child
from wallaroo_cli.homes.ray_home.credentials import Credentials
from wallaroo_cli.homes.ray_home.spec import RaySpec
from wallaroo_workers.logs import configure_logs, get_logger

log = get_logger()

ASK_EVERY_S = 0.3
ALONE_S = 60.0
"""A host whose manager does not exist for so long ends."""


class Host:
    """One host. Ray makes it an actor, and starts it again on another node if its own is lost."""

    def __init__(self, name: str, spec: RaySpec, calls: RayCalls | None = None) -> None:
        self._name = name
        self._spec = spec
        self._calls = RayCalls(spec) if calls is None else calls
        self._child: Child | None = None
        self._status: int | None = None
        self._is_leaving = False
        configure_logs(f"host {name}", form=spec.log_form)  # type: ignore[arg-type]
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def __repr__(self) -> str:
        """Return what Ray shows in front of each line of our log."""
        return f"host {self._name}"

    async def look(self) -> dict[str, Any]:
        """Return what the manager wants to know, see `HostView`."""
        return {
            "node": self._calls.node(),
            "has_worker": self._child is not None and self._child.has_children,
            # A host that fails by itself, not by its agent, is replaced.
            "status": 1 if self._status is None and self._serving.done() else self._status,
        }

    async def withdraw(self) -> None:
        """End the agent in order: its worker leaves the cluster first."""
        self._is_leaving = True
        if self._child is not None:
            self._child.stop()

    async def _serve(self) -> None:
        restarts = AgentRestarts()
        while not self._is_leaving:
            where = await self._where()
            if not where:
                break
            started_s = time.monotonic()
            status = await self._run_agent(where)
            pause_s = restarts.ended(status, time.monotonic() - started_s)
            if pause_s is None:
                self._status = status
                return
            log.info("agent.ended", status=status, next="it starts again with the initializer")
            await asyncio.sleep(pause_s)
        self._status = 0

    async def _where(self) -> dict[str, Any] | None:
        """Wait until there is an initializer; return nothing if there will be none."""
        alone_s = 0.0
        while not self._is_leaving and alone_s < ALONE_S:
            try:
                where = await self._calls.where()
            except LookupError:
                alone_s += ASK_EVERY_S
                where = None
            if where is not None:
                return where
            await asyncio.sleep(ASK_EVERY_S)
        if not self._is_leaving:
            self._calls.leave()
        return None

    async def _run_agent(self, where: dict[str, Any]) -> int:
        credentials = Credentials(where["credentials"])
        address = self._calls.address()
        spec = self._spec
        try:
            self._child = await Child.started(
                [
                    f"--application-module={spec.module}",
                    *spec.module_paths,
                    f"--join={where['control']}",
                    f"--zone={self._calls.node()}",
                    f"--bind={address}",
                    *credentials.options,
                    *spec.agent,
                    *spec.arguments,
                ],
                spec.folder,
            )
            if self._is_leaving:
                self._child.stop()
            return await self._child.wait()
        finally:
            self._child = None
            credentials.remove()
