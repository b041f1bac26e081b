"""Collects what the initializer knows about its cluster, for the dashboard and for metrics."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.metrics_core import Metric

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.coordinator.chronicle import Chronicle
from wallaroo.coordinator.coordinator import Coordinator
from wallaroo.coordinator.events import (
    Announce,
    Effect,
    EndCluster,
    EndWorker,
    Publish,
    Send,
    StartWorker,
    WriteManifest,
)
from wallaroo.metrics.event_history import EventHistory
from wallaroo.metrics.gathering import Gathering
from wallaroo.metrics.report import Report
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.snapshot import snapshot
from wallaroo.names import WorkerName
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application
from wallaroo.wire.control import Assign, ControlFrame, Join, Measured
from wallaroo_workers import logs
from wallaroo_workers.initializer.metrics.otlp import OtlpExport
from wallaroo_workers.initializer.metrics.prometheus import families
from wallaroo_workers.logs import get_logger

log = get_logger()


def no_hosts() -> dict[str, Any]:
    """Return the numbers of a run without other hosts."""
    return {"wanted": 0, "here": 0, "standby": 0, "absent": []}


class Observatory:
    """Observes one run; it decides nothing."""

    def __init__(
        self,
        plan: Application,
        counts: RunCounts,
        otlp_endpoint: str = "",
        interval_s: Callable[[int], float] = lambda _: 0.0,
        hosts: Callable[[], dict[str, Any]] = no_hosts,
    ) -> None:
        """``otlp_endpoint`` is where metrics are sent by OpenTelemetry's protocol, if anywhere.

        ``interval_s`` returns the time between two checkpoints with so many workers, and
        ``hosts`` how many hosts of agents are wanted and connected.
        """
        self._hosts = hosts
        self._plan = plan
        self._interval_s = interval_s
        self._otlp_endpoint = otlp_endpoint
        self._export: OtlpExport | None = None
        self._gathering = Gathering(plan, counts, time.time)
        self._chronicle = Chronicle(self._gathering.events, time.monotonic)
        self._started_s = time.time()
        self._coordinator: Coordinator | None = None
        self._has_ended = False

    @property
    def events(self) -> EventHistory:
        """The event history, to which other parts of the run may add entries."""
        return self._gathering.events

    def watch(self, coordinator: Coordinator) -> None:
        """Read phase and epoch from this coordinator. Raises ``ConfigError`` if OTLP is missing."""
        self._coordinator = coordinator
        if self._otlp_endpoint:
            application = self._plan.name
            self._export = OtlpExport(self._otlp_endpoint, application, self.prometheus_families)

    async def close(self) -> None:
        """Stop observing, and send the last metrics."""
        if self._export is not None:
            await self._export.close()

    # What it observes

    def on_frame(self, worker: WorkerName, frame: ControlFrame) -> None:
        """Note what a worker reports."""
        match frame:
            case Measured(epoch, name, report):
                try:
                    read = Report.from_wire(report)
                except ValueError as error:
                    log.warning("report.rejected", worker=name, reason=str(error))
                    return
                self._gathering.reported(name, epoch, read, time.time())
            case Join(epoch, _, pid, data_address):
                self._gathering.joined(worker, epoch, pid, data_address)

    def on_effect(self, effect: Effect) -> None:
        """Note a decision of the coordinator."""
        self._chronicle.on_effect(effect)
        match effect:
            case StartWorker(worker, incarnation, is_restart):
                self._gathering.starting(worker, incarnation, is_restart=is_restart)
            case EndWorker(worker):
                self._gathering.left(worker)
            case Send(_, Assign() as frame):
                addresses = {name: address for name, _, address in frame.members}
                maps = map(PartitionMap.from_wire, frame.partition_maps)
                self._gathering.assigned(addresses, {each.state: each for each in maps})
            case Publish():
                for name in self._gathering.totals.members:
                    self._gathering.running(name)
            case Announce("checkpoint.failed"):
                self._gathering.checkpoint_failed()
            case Announce("journals.lost", values):
                self._gathering.journal_lost(values["journal"])
            case EndCluster():
                self._has_ended = True

    def checkpoint_written(self, order: WriteManifest, manifest: Manifest) -> None:
        """Note a committed checkpoint."""
        parts = [
            part
            for worker in manifest.workers.values()
            for part in worker.parts
            if part.checkpoint == order.checkpoint
        ]
        facts = {
            "number": manifest.number,
            "unix_s": manifest.taken_unix_s,
            "duration_s": manifest.duration_s,
            "pause_s": max(worker.pause_s for worker in manifest.workers.values()),
            "bytes": sum(part.byte_count for part in parts),
            "keys": sum(part.key_count for part in parts),
        }
        self._gathering.checkpoint_written(facts)

    def tick(self) -> None:
        """Take the sample of one second."""
        self._gathering.log.extend(logs.new_lines())
        self._gathering.tick(time.time())
        if self._export is not None:
            self._export.refresh()

    # What it shows

    def snapshot(self) -> dict[str, Any]:
        """Return the cluster as it is now, as plain values: see ``wallaroo.metrics.snapshot``."""
        coordinator = self._coordinator
        phase = "forming" if coordinator is None else coordinator.phase.value
        worker_count = 0 if coordinator is None else len(coordinator.workers)
        facts = {
            "application": self._plan.name,
            "phase": "stopped" if self._has_ended else phase,
            "epoch": 0 if coordinator is None else coordinator.epoch,
            "started_unix_s": self._started_s,
            "checkpoint_interval_s": self._interval_s(worker_count),
            "hosts": self._hosts(),
        }
        return snapshot(self._gathering, facts, time.time())

    def history(self, window_s: float) -> dict[str, Any]:
        """Return the last ``window_s`` seconds as lists: see ``wallaroo.metrics.history``."""
        return self._gathering.history.last(window_s)

    def prometheus_families(self) -> Iterable[Metric]:
        """Return all metrics in the form of a collector of prometheus-client."""
        return families(self._gathering, self.snapshot())
