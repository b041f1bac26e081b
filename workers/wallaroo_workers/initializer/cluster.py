"""The initializer: carries out what the coordinator decides, until the cluster has ended."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from wallaroo.codec import framing
from wallaroo.coordinator.coordinator import Coordinator, Phase
from wallaroo.coordinator.events import (
    Announce,
    Answer,
    CheckpointDue,
    Effect,
    EndCluster,
    EndWorker,
    Event,
    ManifestWritten,
    MembersChanged,
    Publish,
    Received,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.coordinator.liveness import Liveness
from wallaroo.coordinator.run_view import RunView
from wallaroo.coordinator.worker_names import first_names
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.metrics.history import seconds_to_next_sample
from wallaroo.names import Epoch, WorkerName
from wallaroo.statuses import ExitStatus
from wallaroo.topology.plan import Plan
from wallaroo.wire.agents import Offer
from wallaroo.wire.control import (
    Checkpoint,
    ControlFrame,
    Drain,
    Held,
    Hold,
    Measured,
    RequestStop,
    Stop,
)
from wallaroo.wire.requests import Replied
from wallaroo_workers.initializer.control.requests import Requests
from wallaroo_workers.initializer.control.resize_requests import ResizeRequests
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.server import ControlServer
from wallaroo_workers.initializer.forming import is_formed, listen
from wallaroo_workers.initializer.membership import membership_of
from wallaroo_workers.initializer.metrics.dashboard import Page
from wallaroo_workers.initializer.metrics.observatory import Observatory
from wallaroo_workers.initializer.placement.hosts import Run
from wallaroo_workers.initializer.placement.local import Placement
from wallaroo_workers.initializer.placement.worker_processes import WorkerProcesses
from wallaroo_workers.initializer.resources.checkpoint_store import KeptCheckpoints
from wallaroo_workers.initializer.resources.ready_file import ReadyFile
from wallaroo_workers.initializer.resources.run_files import RunFiles
from wallaroo_workers.initializer.resources.source_addresses import (
    ReservedAddress,
    source_addresses,
)
from wallaroo_workers.initializer.run_log import (
    tell_announced,
    tell_failed,
    tell_starting,
    tell_stopped,
)
from wallaroo_workers.initializer.settings import (
    ClusterSettings,
    new_failure_watch,
    new_hosts,
)
from wallaroo_workers.initializer.stop_deadline import StopLimit
from wallaroo_workers.logs import get_logger
from wallaroo_workers.run_file import RunFile

__all__ = ["Cluster", "ClusterSettings"]

log = get_logger()

EXIT_AWAITED_S = 0.2
WAITING_TOLD_EVERY_S = 10.0
LISTENED_EVERY_S = 1.0


class Cluster:
    """One run. ``run`` returns when every process has ended; it raises what ended it early."""

    def __init__(self, settings: ClusterSettings, plan: Plan, placement: Placement) -> None:
        self._settings = settings
        self._plan = plan
        self._hosts = new_hosts(settings, plan, placement)
        self._placement = self._hosts.placement
        self._started_s = time.monotonic()
        self._workers = settings.own_workers()
        """The members; not known before ``run`` where the last checkpoint says who they are."""
        self._checkpoints: KeptCheckpoints | None = None
        if settings.checkpoints is not None:
            self._checkpoints = KeptCheckpoints(settings.checkpoints, plan, self._workers)
        self._control = ControlServer(self._hosts.secret, self._hosts.tls)
        self._processes = WorkerProcesses(
            self._placement,
            lambda order: self._hosts.worker_settings(order, self._control.address),
            (lambda *_: None) if self._checkpoints is None else self._checkpoints.worker_ended,
            self._start,
            self._stop_now,
            settings.restarts_max,
        )
        self._vital_signs = Liveness(settings.worker_timeout_s, LISTENED_EVERY_S)
        self._ready_file = ReadyFile(settings.ready_file)
        self._run_file = RunFile(Path(settings.options.folder))
        self._watch = RunView()
        self.requests: Requests | None = None
        """What can be asked of the run; ``None`` before it is formed."""
        self.has_ended = False
        """Whether the run is over, and only its processes are still to end."""
        self._stop_request = StopRequested(may_force=settings.stop_timeout_s is None)
        self._stop_limit = StopLimit(settings.stop_timeout_s, lambda: self._stop_now(None))
        self._page = Page(settings.page, self._run_file, settings.hosts.tls)
        self._reserved: list[ReservedAddress] = []
        self._files = RunFiles(plan, settings.options.folder)
        self._source_addresses: list[str] = []
        self._coordinator: Coordinator
        self._resizes = ResizeRequests(
            self._happened,
            lambda: self._coordinator.phase is Phase.RUNNING,
            self._hosts.left,
        )
        self.resize = self._resizes.make
        self._failures = new_failure_watch(settings, plan)
        self._letters = (plan.application, settings.options.dead_letters)
        self.observatory = Observatory(plan, self._failures.counts, settings.otlp_endpoint)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[WallarooError | None]
        self._stopped_early = asyncio.Event()

    async def run(self) -> ExitStatus:
        """Start, serve and stop; return the status that the command ends with.

        Raises the ``WallarooError`` that ended the run, if one did.
        """
        self._ended = asyncio.get_running_loop().create_future()
        async with contextlib.AsyncExitStack() as stack:
            if self._checkpoints is not None:
                stack.push_async_callback(self._checkpoints.ownership.release)
            return await self._served()

    async def _served(self) -> ExitStatus:
        try:
            has_begun = await is_formed(self._form(), self._ended, self._stopped_early)
            error = await self._ended if has_begun else None
            self._hosts.agents.error = "" if error is None else error.what
        except WallarooError as failure:
            self._hosts.agents.error = failure.what
            raise
        finally:
            self._ready_file.remove()
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
        await self._control.clients.finish()
        if error is not None:
            if self._hosts.is_ready.is_set():
                tell_failed(error, self._failures.outcome(), *self._letters)
            raise error
        outcome = self._failures.outcome()
        tell_stopped(outcome, *self._letters)
        return outcome.status

    def stop(self) -> None:
        """Stop in order, as a first SIGTERM does; a cluster that still waits for workers ends."""
        if self.requests is not None:
            self._happened(StopRequested(may_force=False))
            return
        self._stopped_early.set()

    # Start

    async def _form(self) -> None:
        if self._checkpoints is not None:
            await self._checkpoints.ownership.begin()
            self._start(self._checkpoints.ownership.kept())
        self._ready_file.begin()
        self._source_addresses = await source_addresses(
            self._plan, self._reserved, is_here=self._settings.worker_count != 0
        )
        self._files.hold()
        await listen(self._control, self._settings.control_address)
        self._run_file.write(
            application=self._plan.application,
            control=self._control.address,
            secret=self._hosts.secret.hex(),
            tls=self._hosts.tls_facts,
            dashboard="",
            workers=[],
        )
        self._control.clients.why_not_yet = self._hosts.why_not_yet
        self._control.clients.stop_early = self.stop
        self._control.on_frame = self._frame_came
        self._control.on_lost = self._link_lost
        self._control.on_pulse = lambda worker, incarnation: self._vital_signs.heard(
            worker, incarnation, time.monotonic()
        )
        self._control.guests[Offer] = self._hosts.agents.offered
        self._placement.on_exit = self._worker_lost
        # Agents dial for a short time only, so they are served while this waits for the store.
        self._hosts.agents.begin()
        if self._checkpoints is not None:
            await self._checkpoints.ownership.acquired()
        self._workers = (*self._workers, *await self._hosts.gathered(self._control.address))
        await self._begin()

    async def _begin(self) -> None:
        """Take over what is kept, then start the workers and what watches over them."""
        if self._checkpoints is not None:
            agents = self._hosts.agents
            self._checkpoints.formed(
                self._workers, agents.newest_epoch, are_all_here=not agents.names
            )
        beginning = None if self._checkpoints is None else await self._checkpoints.begin()
        self._workers = beginning.workers if beginning is not None else self._workers
        self._workers = self._workers or first_names(1)
        membership = membership_of(
            self._plan, self._workers, self._source_addresses, beginning, self._settings
        )
        self._coordinator = Coordinator(membership, self._failures)
        self._hosts.serve(
            Run(
                members=lambda: self._workers,
                used=lambda: self._watch.used_names,
                start=self._start,
                stop_in_order=lambda name: self._frame_came(name, RequestStop(Epoch(0))),
                is_ending=lambda: self._coordinator.ending.is_requested,
                resize=self._resizes.make_in_turn,
                epoch=lambda: self._coordinator.epoch,
            )
        )
        self.observatory.watch(self._coordinator)
        self.requests = self._control.clients.requests = Requests(self._reach())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._happened, self._stop_request)
        loop.set_exception_handler(self._broken)
        if self._checkpoints is None:
            self._files.empty()
        else:
            self._checkpoints.discard_staged()
            self._take_checkpoints()
        tell_starting(self._plan.application, self._workers)
        effects = self._coordinator.start()
        self._watch.saw(None, effects)
        self._carry_out(effects)
        loop.call_later(WAITING_TOLD_EVERY_S, self._tell_waiting)
        self._listen_for_life()
        self._observe()
        ready, secret = self._hosts.is_ready, self._hosts.secret
        self._start(self._page.open_when(ready, self.observatory, self.requests, secret))

    def _reach(self) -> Reach:
        coordinator, checkpoints = self._coordinator, self._checkpoints
        return Reach(
            plan=self._plan,
            members=lambda: self._workers,
            watch=self._watch,
            events=self.observatory.events,
            counts=self._failures.counts,
            phase=lambda: coordinator.phase,
            epoch=lambda: coordinator.epoch,
            waiting_for=lambda: coordinator.waiting_for,
            happened=self._happened,
            send=self._control.send,
            control_address=self._control.address,
            source_addresses=self._source_addresses,
            latest=None if checkpoints is None else lambda: checkpoints.latest,
            discard_all=None if checkpoints is None else checkpoints.discard_all,
            resize=self.resize,
            is_resizing=lambda: self._resizes.is_under_way,
            resize_in_turn=self._resizes.make_in_turn,
        )

    # Events in, effects out

    def _frame_came(self, worker: WorkerName, frame: ControlFrame) -> None:
        self.observatory.heard(worker, frame)
        if isinstance(frame, Held):
            self._resizes.through(frame)
        if isinstance(frame, Replied):
            assert self.requests is not None
            self.requests.replied(worker, frame)
        elif not isinstance(frame, Measured):
            self._happened(Received(worker, frame))

    def _worker_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        self._happened(WorkerLost(worker, incarnation, reason))

    def _link_lost(self, worker: WorkerName, incarnation: Epoch, reason: str) -> None:
        # A process that ends takes its link with it, and its exit status says more. Whichever of
        # the two comes second is stale to the coordinator.
        loop = asyncio.get_running_loop()
        loop.call_later(EXIT_AWAITED_S, self._worker_lost, worker, incarnation, reason)

    def _listen_for_life(self) -> None:
        """Give up processes that live but do nothing, such as one that was stopped."""
        if self._ended.done():
            return
        for worker, incarnation, silent_s in self._vital_signs.silent(time.monotonic()):
            reason = f"it gave no sign of life for {silent_s:.0f} s"
            self._worker_lost(worker, incarnation, reason)
        asyncio.get_running_loop().call_later(LISTENED_EVERY_S, self._listen_for_life)

    def _happened(self, event: Event) -> None:
        if not self._ended.done():
            effects = self._coordinator.step(event)
            self._watch.saw(event, effects)
            self._carry_out(effects)
            self._stop_limit.look(self._coordinator)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.observatory.saw(effect)
            self._carry_out_one(effect)

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Send(workers, frame):
                self._send(workers, frame)
            case StartWorker(worker, _, _, is_joining):
                if not is_joining:
                    self._ready_file.remove()
                self._vital_signs.disconnected(worker)
                self._processes.start(effect)
            case EndWorker(worker, is_told):
                self._processes.end(worker, is_told=is_told)
            case MembersChanged() | Answer():
                self._resize_went_on(effect)
            case Announce():
                tell_announced(effect)
            case Publish(epoch, is_again):
                self._publish(epoch, is_again=is_again)
            case WriteManifest():
                self._start(self._write_manifest(effect))
            case EndCluster(error):
                self._end(error)

    def _send(self, workers: Sequence[WorkerName], frame: ControlFrame) -> None:
        if isinstance(frame, Checkpoint | Drain) and self._checkpoints is not None:
            self._checkpoints.begun()
        if isinstance(frame, Hold):
            self._resizes.held(frame.resize)
        for worker in workers:
            self._control.send(worker, frame)

    def _resize_went_on(self, effect: MembersChanged | Answer) -> None:
        if isinstance(effect, Answer):
            self._resizes.answered(effect)
            return
        self._resizes.moved()
        self._workers = effect.workers
        if self._checkpoints is not None:
            self._checkpoints.members_changed(effect.workers, effect.partition_maps)

    def _take_checkpoints(self) -> None:
        """Have one taken now, if none is under way, and again after each interval."""
        if self._ended.done():
            return
        assert self._settings.checkpoints is not None
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.checkpoints.interval_s, self._take_checkpoints)
        self._happened(CheckpointDue())

    async def _write_manifest(self, order: WriteManifest) -> None:
        assert self._checkpoints is not None
        try:
            answer = await self._checkpoints.write(order)
        except WallarooError as error:
            self._stop_now(error)
            return
        if isinstance(answer, ManifestWritten):
            self.observatory.checkpoint_written(order, self._checkpoints.latest)
        self._happened(answer)

    def _observe(self) -> None:
        """Have time go on for whoever looks at the cluster, also when nothing happens."""
        if not self._ended.done():
            self.observatory.tick()
            asyncio.get_running_loop().call_later(
                seconds_to_next_sample(time.time()), self._observe
            )

    def _tell_waiting(self) -> None:
        """Say now and then whom a start or a stop waits for."""
        if self._ended.done():
            return
        if self._coordinator.waiting_for:
            phase, workers = self._coordinator.phase.value, self._coordinator.waiting_for
            named = ", ".join(workers)
            log.info("cluster.waiting", phase=phase, workers=named, next="goes on with these")
        loop = asyncio.get_running_loop()
        loop.call_later(WAITING_TOLD_EVERY_S, self._tell_waiting)

    def _broken(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that nobody expected: a bug of ours. End what it would leave half alive."""
        log.critical(
            "initializer.crashed",
            what=context.get("message"),
            exc_info=context.get("exception"),
            story=self._coordinator.story,
            next="all processes end",
        )
        self._end(ClusterError("the initializer failed; see the log line initializer.crashed"))

    def _stop_now(self, error: WallarooError | None) -> None:
        """End the run for a reason that is not the coordinator's."""
        if self.requests is not None:
            for worker in self._workers:
                self._control.send(worker, Stop(self._coordinator.epoch))
        self._end(error)

    def _end(self, error: WallarooError | None) -> None:
        self.has_ended = True
        if not self._ended.done():
            self._processes.is_over = True
            self._resizes.end("the cluster has ended")
            self._ended.set_result(error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, WallarooError):
                self._stop_now(error)
            else:
                loop = asyncio.get_running_loop()
                self._broken(loop, {"message": "a task failed", "exception": error})

    def _publish(self, epoch: Epoch, *, is_again: bool) -> None:
        self._resizes.running()
        sources = [
            {"pipeline": pipeline.name, "address": address}
            for pipeline, address in zip(self._plan.pipelines, self._source_addresses, strict=True)
            if address
        ]
        workers = [
            {"name": worker, "pid": self._processes.pids[worker]} for worker in self._workers
        ]
        facts = {
            "application": self._plan.application,
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
        self._hosts.is_ready.set()
        self._run_file.write(workers=workers)
        log.info(
            "application.ready_again" if is_again else "application.ready",
            application=self._plan.application,
            worker_count=len(self._workers),
            sources=", ".join(source["address"] for source in sources) or "none listens",
            control=self._control.address,
            framing="compiled" if framing.is_compiled() else "Python",
            after_s=round(time.monotonic() - self._started_s, 2),
            next="records are taken" + " again" * is_again,
        )
