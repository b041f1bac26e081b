"""The original's initializer: ours, with one worker beside it and the others by their agents."""

import asyncio
import dataclasses
import os
import sys
from typing import Any

from wallaroo.checkpoint.journal import JOURNAL_FOLDER
from wallaroo.coordinator.run_outcome import FailureRule
from wallaroo.names import WorkerName
from wallaroo.topology.plan import Application
from wallaroo_cli.original.companion import INITIALIZER, Companion
from wallaroo_cli.original.files import Card, Files, Traces
from wallaroo_cli.original.lines import Lines, Situation, say
from wallaroo_cli.original.options import OriginalOptions
from wallaroo_cli.process_signals import ProcessSignals
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.placement.hosts import HostSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.initializer.resources.checkpoint_store import CheckpointSettings
from wallaroo_workers.settings import ApplicationSettings, RunOptions
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.store import open_store

FOR_EVER_S = 1e7
STOP_TIMEOUT_S = 12.0
"""Scripts give a stop 30 s, with all that follows it."""
FAILURE_HEARD_S = 0.1
RESTARTS_MAX = 1_000_000


async def run_initializer(
    options: OriginalOptions, application: ApplicationSettings, plan: Application
) -> int:
    """Run the cluster until it is stopped. Raises the ``WallarooError`` that ends it early."""
    files = Files(options.resilience_dir, options.application_module, INITIALIZER, options.control)
    before = files.read_traces()
    if before is not None and not options.is_durable and before.control != options.control:
        # Without state there is nothing to carry on but the members, and those of a cluster that
        # was killed long ago do not come back.
        before = None
    card = files.write_card(options.control)
    traces = await _traces(options, files, before)
    files.write_traces(traces)
    run = _Run(options, files, traces)
    settings = _settings(options, application, files, traces, card)
    cluster = Cluster(settings, plan, run.placement(), ProcessSignals())
    await run.serve(cluster, plan, is_successor=before is not None)
    return 0


async def _traces(options: OriginalOptions, files: Files, before: Traces | None) -> Traces:
    """Return what this initializer leaves: what it takes over, and what it adds."""
    before = before or Traces()
    members, checkpoints = before.members, before.checkpoints
    if options.is_durable and not checkpoints:
        checkpoints = files.new_checkpoints()
    elif options.is_durable and files.checkpoints(before).is_dir():
        # Who was a member when the last checkpoint was taken: the file may be a moment behind.
        store = open_store(str(files.checkpoints(before)))
        last = await ManifestLog(store).latest()
        members = members if last is None else last.members
    return Traces(members, checkpoints, options.control)


class _Run:
    """The cluster and what is beside it."""

    def __init__(self, options: OriginalOptions, files: Files, traces: Traces) -> None:
        self._options = options
        self._files = files
        self._traces = traces
        self._cluster: Cluster

    def placement(self) -> LocalPlacement:
        """Return where the worker beside the initializer lives."""
        return LocalPlacement(self._worker_ended)

    async def serve(self, cluster: Cluster, plan: Application, *, is_successor: bool) -> None:
        """Run the cluster to its end, and delete what it leaves if that was in order."""
        self._cluster = cluster
        options = self._options
        lines = Lines(
            INITIALIZER, is_successor=is_successor, is_durable=options.is_durable, is_joining=False
        )
        companion = Companion(INITIALIZER, plan, lines, self._ask, cluster.stop, self._look)
        if is_successor:
            for address in (options.control, options.data):
                say(f"Restarting a listener at {address}")
        await companion.listen(options.external)
        following = asyncio.create_task(companion.follow())
        try:
            await cluster.run()
        finally:
            following.cancel()
            await companion.close()
        self._files.remove(self._traces)
        say("Recovery files removed.")

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return await self._cluster.handle(method, params, lambda _: None)

    def _look(self, now: Situation) -> None:
        """Note down who is a member: a successor waits for all of them."""
        members = list(now.workers)
        if now.phase == "running" and members != self._traces.members:
            self._traces = dataclasses.replace(self._traces, members=members)
            self._files.write_traces(self._traces)

    def _worker_ended(self, status: int) -> None:
        """If the application has ended the worker, this process, which is the worker, ends too."""
        if status > 0:
            # Where the whole run has failed that is heard by then, and ends it in its own way.
            loop = asyncio.get_running_loop()
            loop.call_later(FAILURE_HEARD_S, self._end_as_worker, status)

    def _end_as_worker(self, status: int) -> None:
        if not self._cluster.has_ended:
            sys.stdout.flush()
            os._exit(status)


def _settings(
    options: OriginalOptions,
    application: ApplicationSettings,
    files: Files,
    traces: Traces,
    card: Card,
) -> ClusterSettings:
    location = str(files.checkpoints(traces)) if options.is_durable else ""
    journals = os.path.join(location, JOURNAL_FOLDER) if location else ""
    folder = application.paths[0]
    checkpoints = CheckpointSettings(
        location=location,
        journal_folder=journals,
        folder=folder,
        interval_s=options.checkpoint_interval_s,
    )
    others = tuple(WorkerName(name) for name in traces.members if name != INITIALIZER)
    count = len(others) if traces.members else options.worker_count - 1
    return ClusterSettings(
        application=application,
        options=RunOptions(
            folder=folder,
            dead_letters=os.path.join(folder, "dead-letters"),
            resilience=location,
            journal_folder=journals,
            exit_ends_worker=True,
        ),
        worker_names=(INITIALIZER,),
        control_address=options.control,
        restarts_max=RESTARTS_MAX,
        stop_timeout_s=STOP_TIMEOUT_S,
        is_patient=True,
        # Its operators take any other status of a stop for a crash.
        failures=FailureRule(sets_status=False),
        source_worker=INITIALIZER,
        checkpoints=checkpoints if options.is_durable else None,
        hosts=HostSettings(
            secret=bytes.fromhex(card.secret),
            agent_count=count,
            agent_names=others,
            agent_timeout_s=FOR_EVER_S,
        ),
    )
