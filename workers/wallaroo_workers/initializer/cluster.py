"""The initializer: carries out what the coordinator decides, until the cluster has ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from wallaroo.codec import framing
from wallaroo.coordinator.events import (
    Announce,
    Effect,
    Event,
    StartWorker,
    StopRequested,
    WriteManifest,
)
from wallaroo.coordinator.membership import starting_membership
from wallaroo.coordinator.run_driver import RunDriver
from wallaroo.coordinator.starting_hosts import MembersBefore
from wallaroo.coordinator.worker_names import first_names
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.metrics.history import seconds_to_next_sample
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import Epoch, WorkerName
from wallaroo.statuses import ExitStatus
from wallaroo.topology.plan import Application
from wallaroo.wire.agents import Offer
from wallaroo.wire.control import ControlFrame, GivenBack, Measured
from wallaroo.wire.requests import Replied
from wallaroo_workers.health_port import HealthPort
from wallaroo_workers.initializer.control.clients import Clients
from wallaroo_workers.initializer.control.commands import Progress
from wallaroo_workers.initializer.control.pending_resizes import PendingResizes
from wallaroo_workers.initializer.control.requests import Requests
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.server import ControlServer
from wallaroo_workers.initializer.forming import is_formed, listen
from wallaroo_workers.initializer.metrics.dashboard import Page
from wallaroo_workers.initializer.metrics.observatory import Observatory
from wallaroo_workers.initializer.placement.hosted_run import HostedRun
from wallaroo_workers.initializer.placement.local import Placement
from wallaroo_workers.initializer.resources.checkpoint_store import KeptCheckpoints
from wallaroo_workers.initializer.resources.ready_file import ReadyFile
from wallaroo_workers.initializer.resources.run_files import RunFiles
from wallaroo_workers.initializer.resources.source_addresses import (
    ReservedAddress,
    source_addresses,
)
from wallaroo_workers.initializer.run_log import (
    log_announced,
    log_failed,
    log_starting,
    log_stopped,
)
from wallaroo_workers.initializer.settings import (
    ClusterSettings,
    new_failure_watch,
    new_hosts,
)
from wallaroo_workers.logs import get_logger
from wallaroo_workers.run_file import RunFile
from wallaroo_workers.stop_signals import NO_SIGNALS, StopSignals

__all__ = ["Cluster", "ClusterSettings", "run_cluster"]

log = get_logger()


class GivenBackRows(Protocol):
    """What a program that runs a cluster inside itself gets from the workers."""

    def received(self, sink: int, rows: bytes) -> None:
        """Keep rows of a sink, or failures, as ``wallaroo.wire.control.GivenBack`` has them."""
        ...


async def run_cluster(
    plan: Application,
    settings: ClusterSettings,
    placement: Placement,
    *,
    signals: StopSignals = NO_SIGNALS,
) -> ExitStatus:
    """Run an application until it stops; return the exit status of its command.

    ``placement`` is where the workers live. Raises the ``WallarooError`` that ended the run, if one
    did. Run it on the event loop of `forks.run` if the application may fork.
    """
    return await Cluster(settings, plan, placement, signals).run()


class Cluster:
    """One run. ``run`` returns when every process has ended; it raises what ended it early."""

    def __init__(
        self,
        settings: ClusterSettings,
        plan: Application,
        placement: Placement,
        signals: StopSignals,
        given_back: GivenBackRows | None = None,
    ) -> None:
        """``given_back`` gets what workers give to the program that runs the cluster."""
        self._settings = settings
        self._given_back = given_back
        self._signals = signals
        # Agents offer the application as it is; their workers learn the number of partitions.
        self.hosts = hosts = new_hosts(settings, plan, placement)
        self._plan = plan = plan.with_partitions(settings.options.partition_count)
        self._placement = hosts.placement
        self._started_s = time.monotonic()
        self._workers = settings.own_workers()
        """The workers to start; ``run`` may find them in the last checkpoint."""
        self._checkpoints: KeptCheckpoints | None = None
        if settings.checkpoints is not None:
            self._checkpoints = KeptCheckpoints(settings.checkpoints, plan, self._workers)
        self._clients = Clients(self)
        self._control = ControlServer(
            hosts.secret, self, self._clients, {Offer: hosts.agents.offered}, hosts.tls
        )
        self._ready_file = ReadyFile(settings.ready_file)
        self._accepts_records = False
        self._health = HealthPort(settings.health_address, lambda: self._accepts_records)
        self._run_file = RunFile(Path(settings.options.folder))
        self.requests: Requests | None = None
        """Handles requests about the run; ``None`` before it is formed."""
        self.resizes: PendingResizes | None = None
        """The requested resizes; ``None`` before the run is formed."""
        self.has_ended = False
        """Whether the run is over; its processes may still have to end."""
        self._stop_request = StopRequested(may_force=settings.stop_timeout_s is None)
        self._page = Page(settings.page, self._run_file, settings.hosts.tls)
        self._reserved: list[ReservedAddress] = []
        self._files = RunFiles(plan, settings.options.folder)
        self.source_addresses: list[str] = []
        self._driver: RunDriver | None = None
        """``None`` until the cluster is formed."""
        self.failures = new_failure_watch(settings, plan)
        self._letters = (plan.name, settings.options.dead_letters)
        self.observatory = _new_observatory(settings, plan, self.failures.counts, self.hosts.counts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[WallarooError | None]
        self._stopped_early = asyncio.Event()

    async def run(self) -> ExitStatus:
        """Start the cluster, serve it until it stops, and return the command's exit status.

        Raises the ``WallarooError`` that ended the run, if one did.
        """
        self._ended = asyncio.get_running_loop().create_future()
        async with contextlib.AsyncExitStack() as stack:
            if self._checkpoints is not None:
                stack.push_async_callback(self._checkpoints.ownership.release)
            return await self._served()

    async def _served(self) -> ExitStatus:
        self._signals.deliver_to(self._stopped_early.set)
        try:
            has_begun = await is_formed(self._form(), self._ended, self._stopped_early)
            error = await self._ended if has_begun else None
            if error is not None:
                self.hosts.agents.run_failed(error)
        except WallarooError as failure:
            self.hosts.agents.run_failed(failure)
            raise
        except asyncio.CancelledError:
            # The program that runs this cluster is interrupted.
            if self._driver is not None:
                self._driver.stop_now(None)
            raise
        finally:
            self._ready_file.remove()
            self._health.close()
            self._control.close()
            await self._placement.stop()
            await self.observatory.close()
            self._files.release()
            for reserved in self._reserved:
                reserved.release()
            self._run_file.remove()
        if self.requests is not None:
            await self.requests.end(error)
        await self._page.close()
        await self._clients.finish()
        if error is not None:
            if self.hosts.is_ready.is_set():
                log_failed(error, self.failures.outcome(), *self._letters)
            raise error
        outcome = self.failures.outcome()
        log_stopped(outcome, *self._letters)
        return outcome.status

    def stop(self) -> None:
        """Stop in order, as a first SIGTERM does; if the cluster is still forming, end it."""
        if self._driver is not None:
            self._driver.on_event(StopRequested(may_force=False))
            return
        self._stopped_early.set()

    async def handle(
        self, method: str, params: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Carry out a request of a client; until the cluster is formed, only a stop is possible."""
        if self.requests is not None:
            return await self.requests.handle(method, params, progress)
        if method == "stop":
            self.stop()
            return {"stopped": True, "took_s": 0.0}
        raise self.hosts.why_not_yet()

    # Start

    async def _form(self) -> None:
        if self._checkpoints is not None:
            await self._checkpoints.ownership.begin()
            self.start_task(self._checkpoints.ownership.kept())
        self._ready_file.begin()
        await self._health.open()
        self.source_addresses = await source_addresses(
            self._plan, self._reserved, is_here=self._settings.worker_count != 0
        )
        self._files.hold()
        await listen(self._control, self._settings.control_address)
        self._run_file.write(
            application=self._plan.name,
            control=self._control.address,
            secret=self.hosts.secret.hex(),
            tls=self.hosts.tls_facts,
            dashboard="",
            workers=[],
        )
        # Agents try to connect for a short time only, so serve them while waiting for the store.
        self.hosts.begin(self._control.address)
        if self._checkpoints is not None:
            await self._checkpoints.ownership.acquired()
        before = await self._members_before()
        hosted = await self.hosts.wait_for_hosts(self._workers, before)
        self._workers = (*self._workers, *hosted)
        await self._begin()

    async def _members_before(self) -> MembersBefore:
        """Return the members in the last checkpoint, if agents may get their names."""
        if self._checkpoints is None or not self._settings.hosts.agent_count:
            return MembersBefore()
        return await self._checkpoints.members()

    async def _begin(self) -> None:
        """Take over the checkpoints, then start the workers and everything that watches them."""
        starting_point = None
        if self._checkpoints is not None:
            hosts = self.hosts.registry
            self._checkpoints.formed(
                self._workers, hosts.newest_epoch, are_all_here=not hosts.names
            )
            starting_point = await self._checkpoints.begin()
            self._workers = starting_point.workers
        self._workers = self._workers or first_names(1)
        rules = self._settings.rules()
        membership = starting_membership(
            self._plan, self._workers, self.source_addresses, starting_point, rules
        )
        driver = RunDriver(self, membership, self.failures, rules, self._checkpoints)
        self._driver = driver
        self.resizes = resizes = PendingResizes(driver, self.hosts.left)
        run = HostedRun(driver, resizes, self.start_task)
        self.hosts.serve(run)
        self.observatory.watch(driver.coordinator)
        self.requests = Requests(self._reach(driver, run))
        self._signals.deliver_to(lambda: driver.on_event(self._stop_request))
        asyncio.get_running_loop().set_exception_handler(self._broken)
        if self._checkpoints is None:
            self._files.empty()
        else:
            self._checkpoints.discard_staged()
        log_starting(self._plan.name, self._workers)
        driver.start()
        self._observe()
        ready, secret = self.hosts.is_ready, self.hosts.secret
        self.start_task(self._page.open_when(ready, self.observatory, self.requests, secret))

    def _reach(self, driver: RunDriver, run: HostedRun) -> Reach:
        checkpoints = self._checkpoints
        return Reach(
            plan=self._plan,
            run=driver,
            events=self.observatory.events,
            counts=self.failures.counts,
            send=self._control.send,
            control_address=self._control.address,
            source_addresses=self.source_addresses,
            latest=None if checkpoints is None else lambda: checkpoints.latest,
            discard_all=None if checkpoints is None else checkpoints.discard_all,
            resize=self.hosts.resize,
            resize_in_turn=run.resize,
        )

    # What arrives from workers

    def received(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Pass on a frame from a worker."""
        self.observatory.on_frame(worker, frame)
        if isinstance(frame, Replied):
            assert self.requests is not None
            self.requests.replied(worker, frame)
        elif isinstance(frame, GivenBack):
            if self._given_back is not None:
                self._given_back.received(frame.sink, frame.rows)
        elif not isinstance(frame, Measured) and self._driver is not None:
            self._driver.received(worker, frame)

    def heartbeat(self, worker: WorkerName, incarnation: Epoch) -> None:
        """Note that a worker's process is alive."""
        if self._driver is not None:
            self._driver.heartbeat(worker, incarnation)

    def link_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        """Handle the end of a process's control link."""
        if self._driver is not None:
            self._driver.link_lost(worker, incarnation, reason)

    # The ports of the run

    def now_s(self) -> float:
        """Return the time, in seconds from any origin."""
        return time.monotonic()

    def call_later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Call a function once, after a delay."""
        asyncio.get_running_loop().call_later(delay_s, call)

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task; an error that it raises ends the run."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def send(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Send a frame to a worker; do nothing if its link is closed."""
        self._control.send(worker, frame)

    def launch(self, order: StartWorker) -> None:
        """Start a worker's process on its host."""
        assert self._driver is not None
        self.start_task(self._run_process(order, self._driver))

    async def _run_process(self, order: StartWorker, driver: RunDriver) -> None:
        settings = self.hosts.worker_settings(order, self._control.address)
        try:
            pid = await self._placement.start(settings, driver)
        except ClusterError as error:
            driver.process_not_started(order, error)
            return
        driver.process_started(order, pid)
        await self._placement.ended(order.worker)
        driver.process_ended(order)

    def kill(self, worker: WorkerName) -> None:
        """Kill what is left of a worker's process."""
        self._placement.kill(worker)

    def announce(self, line: Announce) -> None:
        """Log a line."""
        log_announced(line)

    def decided(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Update metrics and the event history, and let requests look at the run again."""
        for effect in effects:
            self.observatory.on_effect(effect)
        if self.requests is not None:
            self.requests.stepped(event, effects)

    def not_ready(self) -> None:
        """Remove the ready file, and report to probes that no records are accepted."""
        self._accepts_records = False
        self._ready_file.remove()

    def ready(self, epoch: Epoch, *, is_again: bool) -> None:
        """Write the ready file, and log that the application is ready."""
        assert self._driver is not None
        sources = [
            {"pipeline": pipeline.name, "address": address}
            for pipeline, address in zip(self._plan.pipelines, self.source_addresses, strict=True)
            if address
        ]
        members, pids = self._driver.workers, self._driver.pids
        workers = [{"name": worker, "pid": pids[worker]} for worker in members]
        facts = {
            "application": self._plan.name,
            "sources": sources,
            "control": self._control.address,
            "workers": workers,
            "epoch": epoch,
        }
        try:
            self._ready_file.write(facts)
        except OSError as error:
            self._stop_now(ConfigError(f"--ready-file: {error}", hint="choose another path"))
            return
        self.hosts.is_ready.set()
        self._accepts_records = True
        self._run_file.write(workers=workers)
        log.info(
            "application.ready_again" if is_again else "application.ready",
            application=self._plan.name,
            worker_count=len(members),
            sources=", ".join(source["address"] for source in sources) or "none listens",
            control=self._control.address,
            framing="compiled" if framing.is_compiled() else "Python",
            after_s=round(time.monotonic() - self._started_s, 2),
            next="records are taken" + " again" * is_again,
        )

    def checkpoint_written(self, order: WriteManifest) -> None:
        """Note the duration and the size of the checkpoint."""
        assert self._checkpoints is not None
        self.observatory.checkpoint_written(order, self._checkpoints.latest)

    def ended(self, error: WallarooError | None) -> None:
        """Let ``run`` return or raise."""
        self.has_ended, self._accepts_records = True, False
        if not self._ended.done():
            self._ended.set_result(error)

    # Beside the run

    def _observe(self) -> None:
        """Sample the metrics at regular intervals, even if nothing happens."""
        if not self._ended.done():
            self.observatory.tick()
            self.call_later(seconds_to_next_sample(time.time()), self._observe)

    def _broken(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an unexpected error, which is a bug in this program, and end the run."""
        log.critical(
            "initializer.crashed",
            what=context.get("message"),
            exc_info=context.get("exception"),
            story=[] if self._driver is None else self._driver.coordinator.story,
            next="all processes end",
        )
        error = ClusterError("the initializer failed; see the log line initializer.crashed")
        if self._driver is not None:
            self._driver.end(error)
        self.ended(error)

    def _stop_now(self, error: WallarooError | None) -> None:
        """End the run for a reason from outside the coordinator."""
        if self._driver is not None:
            self._driver.stop_now(error)
        self.ended(error)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, WallarooError):
                self._stop_now(error)
            else:
                loop = asyncio.get_running_loop()
                self._broken(loop, {"message": "a task failed", "exception": error})


def _new_observatory(
    settings: ClusterSettings,
    plan: Application,
    counts: RunCounts,
    hosts: Callable[[], dict[str, Any]],
) -> Observatory:
    rules = settings.rules()
    return Observatory(plan, counts, settings.otlp_endpoint, rules.interval_s, hosts)
