"""The actor that manages one run: it runs the initializer, and has hosts for it.

It decides nothing: `Supervisor` says when the initializer starts and when the run is over, `Fleet`
which hosts there are, `Autoscaler` how many workers. What they say is carried out here.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.homes.autoscaler import Autoscaler
from wallaroo.homes.fleet import (
    Fleet,
    FleetEffect,
    ForgetHost,
    GrowFirst,
    HostView,
    StartHost,
    WithdrawHost,
)
from wallaroo.homes.restarts import Act, Supervisor
from wallaroo.statuses import ExitStatus
from wallaroo_cli.homes.ray_home.calls import RayCalls
from wallaroo_cli.homes.ray_home.initializer import Initializer
from wallaroo_cli.homes.ray_home.spec import RaySpec
from wallaroo_workers.logs import configure_logs, get_logger

log = get_logger()

STEP_S = 0.5
LOOK_EVERY_S = 1.0
END_STEP_S = 0.1
SCALE_EVERY_S = 5.0
STAYS_S = 60.0
"""How long the manager can be asked for the status of a run that is over."""
HOSTS_END_S = 5.0
"""How long agents have to end after their initializer."""
PENDING_S = 15.0
"""After so long without a node for a host, a line says so."""


class Manager:
    """One run. Ray makes it an actor, and starts it again if its node is lost."""

    def __init__(self, spec: RaySpec, calls: RayCalls | None = None) -> None:
        self._spec = spec
        self._calls = RayCalls(spec) if calls is None else calls
        configure_logs("manager", form=spec.log_form)  # type: ignore[arg-type]
        known = self._calls.hosts()
        self._fleet = Fleet(
            spec.host_count + spec.standby, is_strict=spec.spread == "strict", known=known
        )
        self._supervisor = Supervisor(
            time.monotonic(), was_ready=self._calls.is_restarted(), lease_s=spec.lease_s
        )
        self._scaler = None if spec.autoscale is None else Autoscaler(*spec.autoscale)
        self._initializer: Initializer | None = None
        self._views: dict[str, HostView] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_over = False
        self._was_read = asyncio.Event()
        self._pending_since_s: float | None = None
        for name in known:
            self._watch(name)
        serving = asyncio.get_running_loop().create_task(self._serve())
        serving.add_done_callback(self._served)
        self._tasks.add(serving)

    def __repr__(self) -> str:
        """Return what Ray shows in front of each line of our log."""
        return "manager"

    # What others ask

    async def where(self) -> dict[str, Any] | None:
        """Return where agents join and with what; ``None`` while there is no initializer.

        Without a place the run is over.
        """
        if self._supervisor.is_over:
            return {}
        initializer = self._initializer
        if initializer is None or not initializer.control:
            return None
        return {"control": initializer.control, "credentials": initializer.credentials.content}

    async def follow(self) -> dict[str, Any]:
        """Return how the run is; the driver asks for it again and again."""
        self._supervisor.heard(time.monotonic())
        status = self._supervisor.status if self._is_over else None
        if self._is_over:
            self._was_read.set()
        return {"is_ready": self._supervisor.is_ready, "status": status}

    async def stop(self) -> None:
        """Stop the run in order; a second time: immediately."""
        self._supervisor.stop()
        self._wake.set()

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Pass a request on to the initializer; return its result or error."""
        initializer = self._initializer
        if initializer is None or not initializer.control:
            what = f"the initializer of {self._spec.application} is being started"
            return {"error": what, "hint": "ask again in a moment", "status": ExitStatus.FAILED}
        try:
            return {"result": await initializer.ask(method, params)}
        except WallarooError as error:
            return {"error": error.what, "hint": error.hint, "status": int(error.exit_code)}

    # The run

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        if self._scaler is not None:
            self._start_task(self._scale(self._scaler))
        while not self._supervisor.is_over:
            match self._supervisor.decide(time.monotonic()):
                case Act.START:
                    await self._start_initializer()
                case Act.STOP if self._initializer is not None:
                    self._initializer.stop()
                case _:
                    pass
            await self._step()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP_S):
                    await self._wake.wait()
        await self._end()

    def _served(self, serving: asyncio.Task[None]) -> None:
        """Let Ray start this actor again if it has failed by itself."""
        if not serving.cancelled() and (error := serving.exception()) is not None:
            log.error("manager.failed", reason=repr(error), next="Ray starts it again")
            self._calls.fail()

    async def _start_initializer(self) -> None:
        spec = self._spec
        count = max(self._fleet.wanted - spec.standby, 1)
        self._initializer = initializer = await Initializer.started(
            spec, self._calls.address(), count, self._wanted
        )
        self._start_task(self._wait_for(initializer))

    async def _wait_for(self, initializer: Initializer) -> None:
        status = await initializer.wait()
        self._initializer = None
        self._supervisor.ended(status, time.monotonic())
        if self._supervisor.status is None:
            log.error("initializer.ended", status=status, next="it starts again in a moment")
        self._wake.set()

    def _wanted(self, count: int) -> None:
        self._fleet.want(count)
        self._wake.set()

    async def _end(self) -> None:
        """Remove all hosts, and be there for a while for the driver."""
        for _ in range(int(HOSTS_END_S / END_STEP_S)):
            if not any(each.is_running for each in self._views.values()):
                break
            await asyncio.sleep(END_STEP_S)
        for watch in self._watches.values():
            watch.cancel()
        for name in {*self._fleet.names, *self._calls.hosts()}:
            self._calls.kill(name)
        self._is_over = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STAYS_S):
                await self._was_read.wait()
                await asyncio.sleep(1.0)  # the answer is on its way
        self._calls.leave()

    # Hosts

    async def _step(self) -> None:
        # Without its head Ray may answer late.
        around = await asyncio.to_thread(self._calls.surroundings)
        # From here on nothing is awaited: a host that is forgotten was looked at before.
        now_s = time.monotonic()
        initializer = self._initializer
        if initializer is not None and initializer.is_ready:
            self._supervisor.ready(now_s)
        for name, view in self._views.items():
            if view.status == ExitStatus.MISTAKE and self._supervisor.mistaken():
                log.error(
                    "host.failed",
                    host=name,
                    hint="see the line before: code or arguments there differ from yours",
                    next="the run stops",
                )
        if around is not None and self._supervisor.status is None:
            self._carry_out(self._fleet.step(now_s, self._views, *around))
            self._report_pending(now_s)

    def _carry_out(self, effects: list[FleetEffect]) -> None:
        for effect in effects:
            match effect:
                case StartHost(name, node):
                    self._calls.start_host(name, node)
                    self._watch(name)
                case ForgetHost(name):
                    self._watches.pop(name).cancel()
                    self._views.pop(name, None)
                    self._calls.kill(name)
                case WithdrawHost(name):
                    log.info("host.withdrawn", host=name, next="its worker leaves the cluster")
                    self._start_task(self._calls.withdraw(name))
                case GrowFirst(count):
                    following = "others replace its workers, then they leave"
                    log.warning("node.draining", worker_count=count, next=following)
                    self._start_task(self._grow_first(count))

    async def _grow_first(self, count: int) -> None:
        answer = await self.ask("grow", {"workers": count, "wait": True})
        if "error" in answer:
            log.warning("host.move_failed", reason=answer["error"], next="it is tried again")
        is_done = "error" not in answer
        self._carry_out(self._fleet.grown(time.monotonic(), self._views, is_done=is_done))

    def _watch(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._look_at(name))
        self._watches[name] = task

    async def _look_at(self, name: str) -> None:
        while True:
            self._views[name] = view = await self._calls.look_at(name)
            if view.status is not None or view.is_dead:
                self._wake.set()
            await asyncio.sleep(END_STEP_S if self._supervisor.is_over else LOOK_EVERY_S)

    def _report_pending(self, now_s: float) -> None:
        names = self._fleet.names
        missing = self._fleet.wanted - sum(
            1 for name in names if self._views.get(name, HostView()).node
        )
        if missing <= 0:
            self._pending_since_s = None
        elif self._pending_since_s is None:
            self._pending_since_s = now_s
        elif now_s - self._pending_since_s > PENDING_S:
            self._pending_since_s = now_s
            log.warning(
                "nodes.missing",
                host_count=missing,
                cpus=self._spec.worker_cpus,
                hint="add nodes, or CPUs to them; `ray status` shows what is used",
                next="hosts start when Ray has nodes for them",
            )

    async def _scale(self, scaler: Autoscaler) -> None:
        while not self._supervisor.is_over:
            await asyncio.sleep(SCALE_EVERY_S)
            initializer = self._initializer
            if initializer is None or not self._supervisor.is_ready:
                scaler.forget()
                continue
            shares = await initializer.cpu_shares()
            change = scaler.sample(time.monotonic(), shares)
            if change:
                method = "grow" if change > 0 else "shrink"
                log.info("cluster.scaled", worker_count=len(shares) + change, next=f"it {method}s")
                params: dict[str, Any] = {"workers": 1, "wait": True}
                if change < 0:
                    params["names"] = []
                answer = await self.ask(method, params)
                if "error" in answer:
                    following = "it is tried again when workers still need it"
                    log.warning("cluster.scale_failed", reason=answer["error"], next=following)
