"""What a cluster exports, from an observatory to which two workers have reported."""

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

from prometheus_client import Metric

from wallaroo.metrics.gathering import Gathering
from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.report import Report
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.metrics.snapshot import snapshot
from wallaroo.topology.plan import Application
from wallaroo_workers.initializer.metrics.observatory import no_hosts
from wallaroo_workers.initializer.metrics.prometheus import families

ALPHABET = Path(__file__).parents[3] / "examples" / "alphabet" / "alphabet.py"


def alphabet_plan() -> Application:
    """The plan of the example with one pipeline and one state."""
    name = "alphabet_of_the_dashboard_tests"
    spec = importlib.util.spec_from_file_location(name, ALPHABET)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    plan = module.application_setup(["--in", "127.0.0.1:7010", "--out", "127.0.0.1:7002"])
    assert isinstance(plan, Application)
    return plan


def gathered(count: int = 1000) -> Gathering:
    """Return all that two workers can report of ``count`` records, and a checkpoint."""
    plan, now_s = alphabet_plan(), time.time()
    counts = RunCounts(Nodes(plan).by_pipeline, is_durable=True)
    gathering = Gathering(plan, counts, time.time)
    nodes, state = Nodes(plan).all, next(iter(plan.states))
    times = Histogram()
    times.record_all([900_000, 1_200_000])
    batches = {"written": 4, "retries": 3, "rejected": 2, "waiting_s": 0.0, "undelivered": 1,
               "undelivered_bytes": 64, "delays": times.to_wire()}  # fmt: skip
    gathering.totals.set_members(["w1", "w2"], 1)
    gathering.tick(now_s - 2)
    for worker, other in (("w1", "w2"), ("w2", "w1")):
        report = Report(
            pid=1,
            unix_s=now_s,
            latency={plan.pipelines[0].name: times},
            times={node.id: times for node in nodes},
            user_s={node.id: 0.25 for node in nodes},
            states={state: {"keys": 13, "bytes": 900, "hottest": [], "sampled": 0}},
            links=[{"to": other, "bytes": 5, "queued_bytes": 0, "connections": 1}],
            sinks=[{"name": "out", "address": "127.0.0.1:7002", "bytes": 5, "queued_bytes": 0,
                    "connections": 1, "connected": True, "waiting": 0, "waiting_s": 0.0,
                    "batches": batches}],
            sources=[{"pipeline": plan.pipelines[0].name, "address": "127.0.0.1:7010",
                      "connections": 1, "bytes": 5, "paused_s": 0.5, "splits": 1,
                      "reconnects": 2}],
            splits=[{"pipeline": plan.pipelines[0].name, "split": f"p-{worker}", "position": 7,
                     "end": 9, "lag": 2, "lag_s": 0.5, "caught_up": False,
                     "held": "", "held_s": None, "ended": False,
                     "problem": ""}],
            lags={plan.pipelines[0].name: 2},
            process={"cpu_s": 1.0, "backlog_bytes": 0, "paused": False},
        )  # fmt: skip
        counted = {worker: {node.id: [count, count, 0, 0] for node in nodes}}
        counts.totals.reported(worker, 1, 1, counted)
        gathering.reported(worker, 1, report, now_s)
        gathering.running(worker)
    gathering.checkpoint_written(
        {"number": 1, "unix_s": now_s, "duration_s": 0.1, "pause_s": 0.002, "bytes": 1, "keys": 1}
    )
    gathering.tick(now_s)
    return gathering


def view_of(gathering: Gathering) -> dict[str, Any]:
    """Its snapshot."""
    facts = {"application": "alphabet", "phase": "running", "epoch": 1, "started_unix_s": 0.0,
             "hosts": no_hosts(), "checkpoint_interval_s": 5.0}  # fmt: skip
    return snapshot(gathering, facts, time.time())


def exported_families() -> list[Metric]:
    """All that is exported."""
    gathering = gathered()
    return list(families(gathering, view_of(gathering)))
