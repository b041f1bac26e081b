"""A made-up cluster that lives: 4 workers, 2 pipelines, one under pressure, hostile dead letters.

It stands where the initializer's observatory and requests stand in a real run, so that what the
page shows of each part of a snapshot can be seen in one place, and actions change what is shown.
"""

import asyncio
import base64
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from wallaroo.errors import ClusterError, ConfigError

HOSTILE = '<script>document.title = "taken"</script><img src=x onerror="document.title=1">'
PARTITION_COUNT = 1024
LATENCY = {"p50": 0.00092, "p90": 0.0034, "p99": 0.0123, "p999": 0.031, "max": 0.052}


class LivelyCluster:
    """Answers as a cluster of the application *market spread* would."""

    def __init__(self, *, durable: bool = True, is_idle: bool = False) -> None:
        self.durable = durable
        self.is_idle = is_idle
        self.phase = "running"
        self.started_s = time.time() - 7620
        self.workers = ["w1", "w2", "w3", "w4"]
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.snapshot_count = 0
        self.history_count = 0
        self.is_broken = False
        self.number = 7600
        self.refusal: ClusterError | None = None
        self.was_asked = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    # Observed

    def snapshot(self) -> dict[str, Any]:
        """How it is now."""
        if self.is_broken:
            raise RuntimeError("a bug of the observatory")
        self.snapshot_count += 1
        now = time.time()
        rate = self._rate(now)
        total = 0 if self.is_idle else int((now - self.started_s) * 48_000)
        latency: dict[str, Any] = {**dict.fromkeys(LATENCY), "count": 0, "bins": []}
        if not self.is_idle:
            wave = 1 + 0.2 * math.sin(now / 7)
            latency |= {name: value * wave for name, value in LATENCY.items()}
            latency |= {"count": 480_123, "bins": bins_of(LATENCY["max"], 480_123)}
        return {
            "application": "market spread",
            "phase": self.phase,
            "epoch": 3,
            "started_unix_s": self.started_s,
            "hosts": {"wanted": 0, "here": 0, "standby": 0, "absent": []},
            "now_unix_s": now,
            "durable": self.durable,
            "health": self._health(),
            "totals": {"in": total, "out": total // 3, "filtered": total // 2, "failed": 41},
            "rates": {"in": rate, "out": rate / 3, "filtered": rate / 2, "failed": 0.4},
            "latency": latency,
            "pipelines": [
                {
                    "name": name,
                    "latency": latency,
                    "by_worker": {} if self.is_idle else dict.fromkeys(self.workers, latency),
                }
                for name in ("orders", "market data", "refused")
            ],
            "graph": self._graph(rate, total),
            "workers": [
                self._worker(index, name, rate) | {"latency": latency}
                for index, name in enumerate(self.workers)
            ],
            "links": self._links(rate),
            "sinks": self._sinks(rate),
            "sources": self._sources(rate),
            "splits": _splits(),
            "clocks": _clocks(now),
            "states": self._states(total),
            "checkpoints": self._checkpoints(now),
            "events": _events(self.started_s, now),
            "dead_letters": _letters(now),
            "log": _log_lines(now),
        }

    def history(self, window_s: float) -> dict[str, Any]:
        """How it was."""
        self.history_count += 1
        step_s = {300: 1, 3600: 10, 86400: 60}[int(window_s)]
        last = int(time.time()) // step_s * step_s
        times = [last - step_s * ago for ago in range(int(window_s) // step_s - 1, -1, -1)]
        rates = [self._rate(second) for second in times]
        waves = [None if self.is_idle else 1 + 0.2 * math.sin(second / 7) for second in times]
        part = max(1, len(self.workers))
        return {
            "step_s": step_s,
            "t": times,
            "in": rates,
            "out": [rate / 3 for rate in rates],
            "failed": [0.0 if second % 40 else 12.0 for second in times],
            **{
                name: [None if wave is None else LATENCY[name] * wave for wave in waves]
                for name in ("p50", "p99")
            },
            "workers": {
                name: {"in": [rate / part for rate in rates], "out": [rate / 9 for rate in rates]}
                for name in self.workers
            },
            "nodes": {
                node["id"]: {"in": [rate * node["rate"] for rate in rates]}
                for node in self._graph(1.0, 0)["nodes"]
            },
            "pipelines": {
                name: {
                    each: [None if wave is None else LATENCY[each] * wave for wave in waves]
                    for each in ("p50", "p99")
                }
                for name in ("orders", "market data", "refused")
            },
        }

    def prometheus_families(self) -> Iterable[Metric]:
        """Two of the families of a real run."""
        records = CounterMetricFamily(
            "wallaroo_records_in", "Records.", labels=["pipeline", "step", "worker"]
        )
        for worker in self.workers:
            records.add_metric(["orders", "count", worker], 41.0)
        yield records
        yield GaugeMetricFamily("wallaroo_workers", "Workers.", value=len(self.workers))

    # Steering

    async def handle(
        self, method: str, params: dict[str, Any], progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Do what is asked, as far as it can be seen."""
        self.asked.append((method, params))
        self.was_asked.set()
        if self.refusal is not None:
            raise self.refusal
        progress({"text": f"{method} has begun"})
        await self.may_go_on.wait()
        match method:
            case "get":
                return self._key(params)
            case "grow":
                added = [f"w{len(self.workers) + 1 + each}" for each in range(params["workers"])]
                self.workers += added
                return {"added": added, "moved_partitions": {"market": 204}, "pause_s": 0.31}
            case "shrink":
                leaving = params["names"]
                self.workers = [name for name in self.workers if name not in leaving]
                return {"left": leaving, "pause_s": 0.28, "took_s": 0.9}
            case "checkpoint":
                self.number += 1
                return {"number": self.number, "pause_s": 0.0021}
            case "stop":
                self.phase = "draining"
                return {}
        raise ConfigError(f"there is no method {method}")

    def _key(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["state"] != "market":
            raise ConfigError(f"there is no state {params['state']!r}", hint="there is market")
        if params["key"] == "NOT THERE":
            raise ClusterError("state 'market' has no key 'NOT THERE' of the type str")
        shown = {"symbol": params["key"], "bid": 53.2, "note": HOSTILE}
        where = {"state": "market", "key": params["key"], "key_type": "str", "worker": "w2"}
        found = {"type": "Market", "text": f"Market{shown}", "value": shown}
        windows = [{"start": 60 * 10**9, "end": 120 * 10**9, "accumulator": 5, "text": HOSTILE}]
        timers = [{"name": "silent", "kind": "timer", "at": 1_500_000_000}]
        return {**where, **found, "windows": windows, "window_count": 2, "timers": timers}

    # Parts of the snapshot

    def _rate(self, second: float) -> float:
        if self.is_idle:
            return 0.0
        return 48_000 + 9_000 * math.sin(second / 31) + 2_500 * math.sin(second * 1.7)

    def _health(self) -> dict[str, Any]:
        if self.phase != "running" or self.is_idle:
            return {"state": "healthy", "reasons": []}
        return {
            "state": "degraded",
            "reasons": [
                "w3 has a backlog of 9.1 MiB; sources pause",
                "0.4 records/s fail in check order",
            ],
        }

    def _graph(self, rate: float, total: int) -> dict[str, Any]:
        nodes = [
            _node("orders/source", "source", "orders", "TCPSource", rate, total),
            _node("orders/decoded", "step", "orders", "to", rate, total, name="normalise symbols"),
            _node("orders/check", "step", "orders", "to_state_partition", rate * 0.9, total,
                  name="check order", state="market", failed=41, user_share=0.42, is_behind=True),
            _node("orders/sink", "sink", "orders", "TCPSink", rate / 3, total // 3),
            # Fed by the other pipeline, whose sink it shares.
            _node("refused/feed", "feed", "refused", "feed", rate / 8, total // 8),
            _node("refused/tell", "step", "refused", "to", rate / 8, total // 8, name="tell"),
            _node("market data/source", "source", "market data", "TCPSource", rate * 0.4,
                  total // 2),
            _node("market data/update", "step", "market data", "to_state_partition", rate * 0.4,
                  total // 2, name="update market", state="market", user_share=0.18),
        ]  # fmt: skip
        edges = [
            ("orders/source", "orders/decoded", rate, False),
            ("orders/decoded", "orders/check", rate * 0.9, True),
            ("orders/check", "orders/sink", rate / 3, False),
            ("orders/check", "refused/feed", None, False),
            ("refused/feed", "refused/tell", rate / 8, False),
            ("refused/tell", "orders/sink", rate / 8, False),
            ("market data/source", "market data/update", rate * 0.4, True),
        ]
        names = ("from", "to", "rate", "exchange")
        for node in nodes:
            node["by_worker"] = {
                name: {
                    **{kind: node[kind] // 5 for kind in ("in", "out", "filtered", "failed")},
                    "rate": node["rate"] / 4,
                    "latency": node["latency"],
                }
                for name in (*self.workers, "w0")  # one that has left
            }
        return {
            "nodes": nodes,
            "edges": [dict(zip(names, edge, strict=True)) for edge in edges],
        }

    def _worker(self, index: int, name: str, rate: float) -> dict[str, Any]:
        is_behind = name == "w3" and not self.is_idle
        part = rate / len(self.workers)
        return {
            "name": name, "pid": 19_480 + index, "address": f"127.0.0.1:4{index}211",
            "state": "running", "epoch": 3, "in_rate": part * (1 + 0.02 * index),
            "out_rate": part / 3, "backlog_bytes": 9_542_000 if is_behind else 18_211 * index,
            "cpu_share": 0.97 if is_behind else 0.61 + 0.03 * index,
            "rss_bytes": (81 + 7 * index) << 20, "loop_lag_s": 0.0042 if is_behind else 0.0009,
            "gc_pause_s": 0.0031, "connections": 3, "keys": 84_120 + 310 * index,
            "paused": is_behind, "user_share": 0.71 if is_behind else 0.55, "restarts": index // 3,
        }  # fmt: skip

    def _links(self, rate: float) -> list[dict[str, Any]]:
        return [
            {"from": one, "to": other, "bytes_per_s": rate * 9, "queued_bytes": 2048,
             "reconnects": 0}
            for one in self.workers for other in self.workers if one != other
        ]  # fmt: skip

    def _sinks(self, rate: float) -> list[dict[str, Any]]:
        return [
            {"name": "orders sink", "worker": worker, "address": "127.0.0.1:7002",
             "bytes_per_s": rate * 8, "queued_bytes": 8192, "reconnects": 0,
             "connected": worker != "w4", "waiting": 12 if worker == "w4" else 0,
             "waiting_s": 3.1 if worker == "w4" else 0.0,
             "batches": {"written": 5, "retries": 0, "rejected": 0, "waiting_s": 0.0,
                         "undelivered": 2, "undelivered_bytes": 4096, "delays": None}
                        if worker == "w3" else None}
            for worker in self.workers
        ]  # fmt: skip

    def _sources(self, rate: float) -> list[dict[str, Any]]:
        return [
            {"pipeline": pipeline, "worker": worker, "address": f"127.0.0.1:{port}",
             "connections": 2, "bytes_per_s": rate * 11, "paused_s": 0.6 if worker == "w3" else 0.0}
            for pipeline, port in (("orders", 7010), ("market data", 7011))
            for worker in self.workers
        ]  # fmt: skip

    def _states(self, total: int) -> list[dict[str, Any]]:
        count = len(self.workers)
        owners = [hash_of(partition) % count for partition in range(PARTITION_COUNT)]
        of_worker = Counter(owners)
        hottest = [("AAPL", 0.131), ("MSFT", 0.094), (HOSTILE, 0.052), ("Zürich {b|x}", 0.031),
                   ("AMZN", 0.022), ("GOOG", 0.019), ("('eu', 7)", 0.008),
                   ("W" * 40, 0.007)]  # fmt: skip
        by_worker = {
            name: {"keys": 84_120 + 310 * index, "bytes": (9 << 20) + (index << 18)}
            for index, name in enumerate(self.workers)
        }
        return [{
            "name": "market", "keys": sum(each["keys"] for each in by_worker.values()),
            "bytes": sum(each["bytes"] for each in by_worker.values()), "by_worker": by_worker,
            "skew": 1.08,
            "hottest": [
                {"key": key, "share": share, "count": int(share * total),
                 "worker": self.workers[index % count]}
                for index, (key, share) in enumerate(hottest)
            ],
            "partitions": {
                "count": PARTITION_COUNT, "owners": owners,
                "by_worker": {name: of_worker[index] for index, name in enumerate(self.workers)},
            },
        }]  # fmt: skip

    def _checkpoints(self, now: float) -> dict[str, Any]:
        if not self.durable:
            return {"last_number": None, "age_s": None, "list": []}
        # One every two seconds, at the same moments for every reader.
        last = now // 2 * 2
        return {
            "last_number": self.number,
            "age_s": now - last,
            "list": [
                {"number": self.number - ago, "unix_s": last - 2 * ago,
                 "duration_s": 0.062 + 0.03 * abs(math.sin(last / 2 - ago)),
                 "pause_s": 0.0021 + 0.0012 * abs(math.sin((last / 2 - ago) * 1.3)),
                 "bytes": 410_000 + 900 * (ago % 11), "keys": 8_100 + 13 * (ago % 7)}
                for ago in range(79, -1, -1)
            ],
        }  # fmt: skip


def hash_of(partition: int) -> int:
    """A number that looks drawn by chance, the same each time."""
    return (partition * 2_654_435_761 & 0xFFFF_FFFF) >> 9


def _node(
    node: str, kind: str, pipeline: str, step_kind: str, rate: float, total: int, **more: Any
) -> dict[str, Any]:
    return {
        "id": node, "kind": kind, "name": more.get("name", node.replace("/", " ")),
        "pipeline": pipeline, "step_kind": step_kind, "state": more.get("state"), "in": total,
        "out": total // 2, "filtered": total // 9, "failed": more.get("failed", 0), "rate": rate,
        "user_share": more.get("user_share", 0.05), "under_pressure": more.get("is_behind", False),
        "latency": {name: value / 900 for name, value in LATENCY.items()}
        | {"count": 2144, "bins": bins_of(LATENCY["max"] / 900, 2144)},
    }  # fmt: skip


def bins_of(max_s: float, count: int) -> list[tuple[float, int]]:
    """Bins up to ``max_s`` as a snapshot has them, most in the middle."""
    top = math.ceil(math.log2(max_s * 1e9))
    weights = [1, 7, 30, 45, 12, 0, 5]
    return [
        ((1 << top - 6 + index) / 1e9, count * weight // 100)
        for index, weight in enumerate(weights)
    ]


def _splits() -> list[dict[str, Any]]:
    ended = {"position": [9, "a"], "end": None, "lag": None, "ended": True}
    rows: list[dict[str, Any]] = [
        {"split": "near", "position": 40, "end": 42, "lag": 2, "lag_s": 31.0},
        {"split": HOSTILE, "position": None, "end": 9000, "lag": 9000},
        {"split": "there", "position": 42, "end": 42, "lag": 0, "caught_up": True},
        {"split": "torn", **ended, "problem": "it has no records"},
    ]
    shared = {"pipeline": "market data", "worker": "w3", "lag_s": None, "caught_up": False,
              "held": "", "held_s": None, "ended": False, "problem": ""}  # fmt: skip
    return [{**shared, **row} for row in rows]


def _clocks(now: float) -> list[dict[str, Any]]:
    shared = {"ended": False, "due": False, "fired": {}, "by_worker": {}, "quiet_s": None}
    held_by = "source 'orders' on w3, silent for 5 s"
    return [
        {**shared, "state": "market", "clock_ns": 60_500_000_000, "lag_s": 20.0, "open": 31,
         "late": 1200, "late_rate": 2.5, "due": True, "held_by": held_by},
        {**shared, "state": "totals", "clock_ns": None, "lag_s": None, "open": 0, "late": 0,
         "late_rate": 0.0, "held_by": "the first record"},
    ]  # fmt: skip


def _events(started_s: float, now: float) -> list[dict[str, Any]]:
    told = [
        (started_s, "application.ready", "info", "the application is ready", 1),
        (now - 190, "checkpoint.failed", "warning", "a checkpoint failed: no space left", 7),
        (now - 120, "worker.lost", "warning", f"worker w4 was lost: {HOSTILE}", 1),
        (now - 118, "application.ready_again", "info",
         "recovered: records are accepted again, 1.6 s after the loss", 1),
        (now - 40, "cluster.resized", "info",
         "resized: w4 joined; the workers are w1, w2, w3, w4", 1),
        (now - 12, "journals.lost", "error", "the journals of w2 are gone", 1),
    ]  # fmt: skip
    return [
        {"unix_s": second, "last_unix_s": second + count - 1, "count": count, "kind": kind,
         "level": level, "text": text, "facts": {}}
        for second, kind, level, text, count in told
    ]  # fmt: skip


def _letters(now: float) -> list[dict[str, Any]]:
    errors = ["KeyError: 'bid'", f"ValueError: no number: {HOSTILE}", "ZeroDivisionError: division"]
    payloads = [HOSTILE.encode(), b"ORDER 7 BUY 100 @ ?", b"\x00\xff\x07 no text"]
    return [
        {"unix_s": now - 31 * ago, "worker": f"w{1 + ago % 4}", "pipeline": "orders",
         "step": "check order", "key": HOSTILE if ago == 0 else f"SYM{ago}",
         "error": errors[ago % 3], "payload": base64.b64encode(payloads[ago % 3]).decode()}
        for ago in range(24, -1, -1)
    ]  # fmt: skip


def _log_lines(now: float) -> list[dict[str, Any]]:
    events = [
        ("info", "checkpoint.committed", {"number": 7600, "process": "initializer"}),
        ("warning", "worker.lost", {"worker": "w4", "reason": "ended by SIGKILL",
                                    "process": "initializer"}),
        ("info", "application.ready_again", {"worker_count": 4, "process": "initializer"}),
        ("error", "record.failed", {"step": "check order", "error": HOSTILE, "process": "w1"}),
    ]  # fmt: skip
    return [
        {"unix_s": now - 5 * ago, "level": events[ago % 4][0], "event": events[ago % 4][1],
         "fields": events[ago % 4][2]}
        for ago in range(60, -1, -1)
    ]  # fmt: skip
