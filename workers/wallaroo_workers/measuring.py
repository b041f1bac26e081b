"""Measures one worker: collects once a second what its parts have counted, for the initializer."""

import base64
import dataclasses
import os
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from wallaroo.ingest.sources import Sources
from wallaroo.links.mesh import Mesh
from wallaroo.metrics.deliveries import Deliveries
from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.hot_keys import HottestKeys
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.probe import Probe
from wallaroo.metrics.report import Report
from wallaroo.metrics.tally import OUT, Counts
from wallaroo.metrics.user_time import UserTime
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_clocks import shown_clocks
from wallaroo.topology.plan import Application
from wallaroo_workers import logs
from wallaroo_workers.process_stats import Vitals, clock_overhead_ns
from wallaroo_workers.sinks.process_sinks import ProcessSinks
from wallaroo_workers.sources.file import FileRunner
from wallaroo_workers.sources.tcp import TCPSourceListener
from wallaroo_workers.state_sizes import StateSizes

FAILURES_REPORTED_MAX = 20
"""Dead letters in one report; all of them are counted, and written to their file."""
PAYLOAD_SHOWN_BYTES = 1024
SPLITS_REPORTED_MAX = 200
"""Splits of one source in one report; all of them count in its lag."""


class Measuring:
    """The measurements of one worker process."""

    def __init__(self, me: WorkerName, plan: Application) -> None:
        self._me = me
        self._plan = plan
        self._vitals = Vitals()
        self._nodes = Nodes(plan)
        self._deliveries = Deliveries(len(plan.sinks), self._nodes.ends_reached, time.time_ns)
        self._user_time = UserTime(self._nodes, clock_overhead_ns())
        self._hottest = {name: HottestKeys() for name in plan.states}
        self._sizes = {name: StateSizes() for name in plan.states}
        self._paused_s = 0.0
        self._vitals.begin()
        self._failures: deque[dict[str, Any]] = deque(maxlen=FAILURES_REPORTED_MAX)

    @property
    def deliveries(self) -> Deliveries:
        """The results that are on their way to sinks."""
        return self._deliveries

    # Called by the worker

    def ticked(self, now_s: float, every_s: float, *, is_paused: bool) -> None:
        """Note that the worker's timer of ``every_s`` fired."""
        elapsed_s = self._vitals.ticked(now_s, every_s)
        if is_paused:
            self._paused_s += elapsed_s

    def note_settled(self, sinks: ProcessSinks) -> None:
        """Note how much the sinks have acknowledged so far."""
        for sink, byte_count in enumerate(sinks.settled_bytes()):
            self._deliveries.settled(sink, byte_count)

    def failed(self, failures: list[Failure]) -> None:
        """Count records that became dead letters."""
        now_s = time.time()
        for failure in failures[-FAILURES_REPORTED_MAX:]:
            payload = None if failure.payload is None else failure.payload[:PAYLOAD_SHOWN_BYTES]
            self._failures.append(
                {
                    "unix_s": now_s,
                    "pipeline": failure.pipeline,
                    "step": failure.step,
                    "key": None if failure.key is None else str(failure.key),
                    "error": failure.error,
                    "payload": None if payload is None else base64.b64encode(payload).decode(),
                }
            )

    # The report

    def report(
        self, dataflow: Dataflow, engine: Engine, mesh: Mesh, sources: Sources, sinks: ProcessSinks
    ) -> Report:
        """Return what was measured since the last report."""
        unix_s = time.time()
        self.note_settled(sinks)
        source_facts = [
            *self._listening(sources.listeners),
            *self._placed(sources),
        ]
        by_split = {
            self._plan.pipelines[index].name: source
            for index, source in sources.splits.open_sources.items()
        }
        source_facts += self._read_by_split(sources)
        backlog = engine.inbox.byte_count + mesh.backlog_bytes + sinks.backlog_bytes
        process = {
            **self._vitals.take(),
            "backlog_bytes": backlog,
            "paused": mesh.pressure.must_pause,
            "connections": sum(source["connections"] for source in source_facts),
        }
        failures = [*self._failures]
        self._failures.clear()
        report = Report(
            pid=os.getpid(),
            unix_s=unix_s,
            latency=self._latency(),
            links=_links(mesh),
            sinks=self._sinks(sinks),
            sources=source_facts,
            splits=[
                {"pipeline": name, **each}
                for name, source in by_split.items()
                for each in source.worst_facts(SPLITS_REPORTED_MAX)
            ],
            lags={name: lag for name, each in by_split.items() if (lag := each.lag) is not None},
            clocks=shown_clocks(engine.timing),
            timers=[] if dataflow.timed is None else dataflow.timed.keyed.facts(),
            process=process,
            failures=failures,
            log=logs.new_lines(),
        )
        if dataflow.probe is not None:
            report = self._sampled(report, dataflow, dataflow.probe)
        self._add_station_times(report, dataflow)
        return report

    def _latency(self) -> dict[str, Histogram]:
        taken = zip(self._plan.flows, self._deliveries.take(), strict=True)
        return {flow.name: histogram for flow, histogram in taken if histogram.count}

    def _add_station_times(self, report: Report, dataflow: Dataflow) -> None:
        for step, times in dataflow.waiting.times.items():
            node = self._nodes.all[self._nodes.of_step[step]].id
            calls, waits = times.take()
            if calls.count:
                report.times[node] = calls
            if waits.count:
                report.waits[node] = waits

    def delivered(self, counts: dict[str, Counts], sinks: ProcessSinks) -> dict[str, Counts]:
        """Return ``counts`` in which results count only after their sink has them.

        In a checkpoint results count when they are created, because it is complete only when all
        sinks have the results from before its barrier.
        """
        self.note_settled(sinks)
        own = counts.get(self._me, {})
        for sink, index in self._nodes.of_sink.items():
            four = own.get(self._nodes.all[index].id)
            if four is not None:
                four[OUT] -= self._deliveries.pending_count(sink)
        return counts

    def _sampled(self, report: Report, dataflow: Dataflow, probe: Probe) -> Report:
        """Return the report with what a sample of the records shows."""
        times, beside, keys = probe.take()
        states: dict[str, dict[str, Any]] = {}
        now_s = time.monotonic()
        for name, objects in dataflow.states.items():
            hottest, sizes = self._hottest[name], self._sizes[name]
            hottest.add(now_s, keys[name])
            sizes.sample(objects, keys[name])
            states[name] = {
                "keys": len(dataflow.saved_states[name]),
                "bytes": sizes.bytes(len(objects)),
                "hottest": hottest.top(),
                "sampled": hottest.sample_count,
            }
        return dataclasses.replace(
            report,
            times=self._user_time.add_sample(times, beside),
            user_s=self._user_time.update(dataflow.tally.counts()),
            states=states,
        )

    def _sinks(self, sinks: ProcessSinks) -> list[dict[str, Any]]:
        return [
            {
                **facts,
                "waiting": self._deliveries.pending_count(index),
                "waiting_s": self._deliveries.oldest_pending_s(index),
            }
            for index, facts in enumerate(sinks.facts())
        ]

    def _listening(self, listeners: Mapping[int, Any]) -> list[dict[str, Any]]:
        return [
            {
                "pipeline": self._plan.pipelines[index].name,
                "address": listener.address,
                "connections": len(listener.connections),
                "bytes": listener.received_bytes,
                "paused_s": self._paused_s,
            }
            for index, listener in listeners.items()
            if isinstance(listener, TCPSourceListener)
        ]

    def _placed(self, sources: Sources) -> list[dict[str, Any]]:
        return [
            {
                "pipeline": self._plan.pipelines[index].name,
                "address": self._plan.pipelines[index].source.describe(),
                "connections": 0,
                "bytes": source.offset if isinstance(source, FileRunner) else 0,
                "paused_s": self._paused_s,
            }
            for index, source in sources.placed.items()
        ]

    def _read_by_split(self, sources: Sources) -> list[dict[str, Any]]:
        pipelines = self._plan.pipelines
        return [
            {
                "pipeline": pipelines[index].name,
                "address": pipelines[index].source.describe(),
                "connections": 0,
                "bytes": 0,
                "paused_s": self._paused_s,
                "splits": source.split_count,
                "reconnects": source.reconnect_count,
            }
            for index, source in sources.splits.open_sources.items()
        ]


def _links(mesh: Mesh) -> list[dict[str, Any]]:
    return [
        {
            "to": worker,
            "bytes": link.sent_bytes,
            "queued_bytes": link.backlog_bytes,
            "connections": link.connection_count,
        }
        for worker, link in mesh.outgoing.items()
    ]
