"""Collects what the workers of a cluster report, and keeps a bounded part of it."""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from wallaroo.metrics.event_history import EventHistory
from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.history import History
from wallaroo.metrics.lag_trend import LagTrend
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.report import Report
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.tally import IN, OUT, Counts
from wallaroo.metrics.totals import sums
from wallaroo.metrics.window import Rates, RecentHistogram
from wallaroo.topology.plan import Application

CHECKPOINTS_KEPT = 100
DEAD_LETTERS_KEPT = 100
LOG_KEPT = 200


@dataclass(slots=True)
class Member:
    """What is known about one worker."""

    state: str = "starting"
    """``starting``, ``running``, ``lost`` or ``gone``."""
    pid: int = 0
    address: str = ""
    epoch: int = 0
    restarts: int = 0
    reported_s: float | None = None
    report: Report | None = None


class Gathering:
    """The metrics of one run. All times are seconds since 1970."""

    def __init__(self, plan: Application, counts: RunCounts, clock_s: Callable[[], float]) -> None:
        """``counts`` has the records of the run; others update it."""
        self.plan = plan
        self.events = EventHistory(clock_s)
        self.nodes = Nodes(plan)
        self._feeding = {edge.before for edge in self.nodes.edges if edge.flow == "before"}
        self._sink_nodes = frozenset(node.id for node in self.nodes.all if node.kind == "sink")
        self.is_durable = counts.totals.is_durable
        self.members: dict[str, Member] = {}
        self.counts = counts
        self.totals = counts.totals
        self.rates = Rates()
        self.history = History()
        self._recent: dict[tuple[str, str], RecentHistogram] = {}
        self.latency: dict[tuple[str, str], Histogram] = {}
        """Latencies of the whole run, by pipeline and worker."""
        self.times: dict[tuple[str, str], Histogram] = {}
        """Times in user functions of the whole run, by node and worker."""
        self.waits: dict[tuple[str, str], Histogram] = {}
        """Times for which records have waited at steps, in the whole run, by node and worker."""
        self.partition_maps: dict[str, Any] = {}
        self.checkpoints: deque[dict[str, Any]] = deque(maxlen=CHECKPOINTS_KEPT)
        self.checkpoint_failures = 0
        """Failures since the last checkpoint."""
        self.lost_journals: list[str] = []
        """Journals lost since the last checkpoint."""
        self.lost_journal_count = 0
        """Journals lost in the whole run."""
        self.dead_letters: deque[dict[str, Any]] = deque(maxlen=DEAD_LETTERS_KEPT)
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_KEPT)
        self._latency_since_tick = Histogram()
        self._by_pipeline_since_tick: dict[str, Histogram] = {}
        self._failed_recently: deque[tuple[float, float]] = deque()
        self._lags: dict[str, LagTrend] = {}
        """Of sources that are read by split and know their ends, by pipeline."""

    def member(self, worker: str) -> Member:
        """Return what is known about a worker; an unknown worker is added."""
        return self.members.setdefault(worker, Member())

    def starting(self, worker: str, epoch: int, *, is_restart: bool) -> None:
        """Note that a worker's process is being started, or started again."""
        member = self.member(worker)
        member.state = "lost" if is_restart else "starting"
        member.epoch = epoch
        member.restarts += is_restart

    def joined(self, worker: str, epoch: int, pid: int, address: str) -> None:
        """Note a worker's process."""
        member = self.member(worker)
        member.pid, member.address, member.epoch = pid, address, epoch

    def assigned(self, addresses: dict[str, str], partition_maps: dict[str, Any]) -> None:
        """Note the members with their addresses, and who owns which partitions."""
        for worker, address in addresses.items():
            member = self.member(worker)
            member.address, member.state = address, "starting"
        for worker, member in self.members.items():
            if worker not in addresses:
                member.state = "gone"
        self.partition_maps = partition_maps

    def running(self, worker: str) -> None:
        """Note that a worker processes records."""
        self.member(worker).state = "running"

    def left(self, worker: str) -> None:
        """Note that a worker is not needed any more."""
        self.member(worker).state = "gone"

    def reported(self, worker: str, epoch: int, report: Report, now_s: float) -> None:
        """Add the report of a worker."""
        member = self.member(worker)
        member.report, member.reported_s = report, now_s
        member.pid, member.epoch = report.pid, epoch
        for pipeline, histogram in report.latency.items():
            self.latency.setdefault((pipeline, worker), Histogram()).merge(histogram)
            self._recent.setdefault((pipeline, worker), RecentHistogram()).add(now_s, histogram)
            self._latency_since_tick.merge(histogram)
            self._by_pipeline_since_tick.setdefault(pipeline, Histogram()).merge(histogram)
        for node, histogram in report.times.items():
            self.times.setdefault((node, worker), Histogram()).merge(histogram)
        for node, histogram in report.waits.items():
            self.waits.setdefault((node, worker), Histogram()).merge(histogram)
        self.dead_letters.extend({**failure, "worker": worker} for failure in report.failures)
        self.log.extend(report.log)

    def checkpoint_written(self, facts: dict[str, Any]) -> None:
        """Note a committed checkpoint, with its ``facts`` as a snapshot shows them."""
        self.checkpoints.append(facts)
        self.checkpoint_failures = 0
        self.lost_journals.clear()

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be saved."""
        self.checkpoint_failures += 1

    def journal_lost(self, journal: str) -> None:
        """Note that a needed journal is missing or incomplete."""
        self.lost_journals.append(journal)
        self.lost_journal_count += 1

    # Once a second

    def tick(self, now_s: float) -> None:
        """Add one second to rates and history; call it once a second, with or without reports."""
        by_worker = self.totals.by_worker()
        all_counts = sums(by_worker)
        total = self.total(all_counts)
        values: dict[Hashable, float] = {("total", key): value for key, value in total.items()}
        for node, four in all_counts.items():
            values["node", node] = four[self._flow_of(node)]
            if node in self._feeding:
                values["node out", node] = four[OUT]
        for worker, counts in by_worker.items():
            values["worker in", worker], values["worker out", worker] = self._in_and_out(counts)
            for node, four in counts.items():
                values["node of worker", node, worker] = four[self._flow_of(node)]
        for worker, member in self.members.items():
            if member.report is not None:
                self._sample_report(values, worker, member.report)
        gains = self.rates.sample(now_s, values)
        gained = {key: gains.get(("total", key), 0.0) for key in ("in", "out", "failed")}
        workers = {
            name: (gains.get(("worker in", name), 0.0), gains.get(("worker out", name), 0.0))
            for name in by_worker
        }
        latency, self._latency_since_tick = self._latency_since_tick, Histogram()
        by_pipeline, self._by_pipeline_since_tick = self._by_pipeline_since_tick, {}
        by_node = {node.id: gains.get(("node", node.id), 0.0) for node in self.nodes.all}
        self.history.add(now_s, gained, workers, latency, by_node, by_pipeline)
        self._failed_recently.append((now_s, gained["failed"]))
        while self._failed_recently[0][0] < now_s - 60.0:
            self._failed_recently.popleft()
        self._tick_lags(now_s)

    def _tick_lags(self, now_s: float) -> None:
        reports = [
            member.report.lags
            for member in self.members.values()
            if member.report is not None and member.state != "gone"
        ]
        for pipeline in {name for lags in reports for name in lags}:
            lag = sum(lags.get(pipeline, 0) for lags in reports)
            self._lags.setdefault(pipeline, LagTrend()).add(now_s, lag)

    @property
    def rising_lags(self) -> dict[str, int]:
        """The lags of sources that fall behind, by pipeline."""
        return {name: trend.lag for name, trend in self._lags.items() if trend.is_rising}

    def _flow_of(self, node: str) -> int:
        """Return which count a node's rate shows: records out for a sink, records in for others."""
        return OUT if node in self._sink_nodes else IN

    def _sample_report(self, values: dict[Hashable, float], worker: str, report: Report) -> None:
        for link in report.links:
            values["link", worker, link["to"]] = link["bytes"]
        for index, sink in enumerate(report.sinks):
            values["sink", worker, index] = sink["bytes"]
        for clock in report.clocks:
            place = "late", clock["state"]
            values[place] = values.get(place, 0) + clock["late"]
        for source in report.sources:
            values["source", worker, source["pipeline"]] = source["bytes"]
        values["cpu", worker] = report.process.get("cpu_s", 0.0)
        values["user", worker] = sum(report.user_s.values())
        for node, seconds in report.user_s.items():
            values["user of node", node] = values.get(("user of node", node), 0.0) + seconds

    def recent_latency(self, now_s: float) -> dict[tuple[str, str], Histogram]:
        """Return the latencies of the last seconds, by pipeline and worker."""
        return {place: recent.merged(now_s) for place, recent in self._recent.items()}

    # Derived from the counts

    @property
    def failed_in_last_minute(self) -> int:
        """Records that became dead letters."""
        return round(sum(count for _, count in self._failed_recently))

    def total(self, counts: Counts) -> dict[str, int]:
        """Return the records of the whole application, as ``RunCounts.total`` does."""
        return self.counts.total(counts)

    def _in_and_out(self, counts: Counts) -> tuple[int, int]:
        total = self.total(counts)
        return total["in"], total["out"]
