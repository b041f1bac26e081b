"""Requests that only read: the status, partitions, keys, one state object, events and the log."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.connectors.base import Assignment
from wallaroo.coordinator.coordinator import Phase
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.metrics.event_history import EVENTS_KEPT
from wallaroo.names import WorkerName
from wallaroo.routing.key_text import key_of_text, shown_key
from wallaroo.routing.keys import Key, key_bytes
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application, Pipeline
from wallaroo.worker.split_facts import sum_of_lags
from wallaroo.worker.state_queries import PAGE_KEYS_MAX
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import WAIT_S, WorkerQueries
from wallaroo_workers.logs import RECENT_LINES, recent_lines, set_log_level

LEVELS = ("debug", "info", "warning", "error")
KEYS_SHOWN = 100
KEYS_AT_ONCE_MAX = 10_000
SPLITS_SHOWN = 1_000

_STATE_WHILE_AWAITED = {
    Phase.FORMING: "starting",
    Phase.CONNECTING: "connecting",
    Phase.OPENING: "opening",
    Phase.DRAINING: "draining",
}
_STATE_OF_OTHERS = {
    Phase.FORMING: "waiting",
    Phase.CONNECTING: "waiting",
    Phase.OPENING: "waiting",
    Phase.DRAINING: "drained",
}
_SUMS = (
    "connections",
    "records_per_s",
    "backlog_bytes",
    "undelivered_batches",
    "undelivered_bytes",
)


class Queries:
    """Answers requests that change nothing, except for the log level."""

    def __init__(self, reach: Reach, worker_queries: WorkerQueries) -> None:
        self._reach = reach
        self._worker_queries = worker_queries
        self._level: str | None = None
        reach.view.listeners.append(self._on_announcement)

    # The cluster and its workers

    async def status(self, parameters: Parameters) -> dict[str, Any]:
        """Return the state of the cluster, and the state that each worker reports."""
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        is_brief = parameters.take("brief", bool, default=False)
        parameters.finish()
        reach = self._reach
        if is_brief:
            # What this process knows itself, without worker_queries workers: often requested.
            return {
                "phase": reach.phase.value,
                "epoch": reach.epoch,
                "control": reach.control_address,
                "workers": [{"name": name} for name in reach.members],
            }
        answers = await self._worker_queries.ask_all(reach.view.workers, "status", {}, wait_s)
        workers = [self._worker(name, answer) for name, answer in answers.items()]
        lags = self._lags([each for worker in workers for each in worker.pop("lags", [])])
        pipelines, addresses = reach.plan.pipelines, reach.source_addresses
        return {
            "application": reach.plan.name,
            "phase": reach.phase.value,
            "epoch": reach.epoch,
            "pid": os.getpid(),
            "control": reach.control_address,
            "started_unix_s": reach.started_unix_s,
            "uptime_s": round(time.time() - reach.started_unix_s, 1),
            "sources": [
                {"pipeline": pipeline.name, "address": address}
                for pipeline, address in zip(pipelines, addresses, strict=True)
                if address
            ],
            "lags": lags,
            "durable": reach.latest is not None,
            "last_checkpoint": self._last_checkpoint(),
            "workers": workers,
            "totals": {
                # These include the counts of workers that have left.
                "records": reach.counts.record_count,
                "failures": reach.counts.failure_count,
                **{name: sum(worker.get(name) or 0 for worker in workers) for name in _SUMS},
            },
        }

    async def sources(self, parameters: Parameters) -> dict[str, Any]:
        """Return the source of each pipeline, and how its payloads are framed."""
        parameters.finish()
        reach = self._reach
        pairs = zip(reach.plan.pipelines, reach.source_addresses, strict=True)
        sources = [describe_source(each, address) for each, address in pairs]
        return {"sources": [*sources, *sources_of_inner(reach.plan, sources)]}

    def _worker(self, name: WorkerName, answer: dict[str, Any] | ClusterError) -> dict[str, Any]:
        phase, joined = self._reach.phase, self._reach.view.joined.get(name)
        counts = self._reach.counts.of_worker(name)
        states = _STATE_WHILE_AWAITED if name in self._reach.waiting_for else _STATE_OF_OTHERS
        row: dict[str, Any] = {
            "name": name,
            "pid": None if joined is None else joined.pid,
            "state": states.get(phase, phase.value),
            "address": "" if joined is None else joined.data_address,
            "records": counts.records,
            "failures": counts.failures,
        }
        if not isinstance(answer, ClusterError):
            return row | answer | {"problem": ""}
        if row["state"] != "starting":
            row["state"] = "not answering"
        return row | {"problem": answer.what}

    def _lags(self, by_worker: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return how far each source that is read by split is behind, over all workers."""
        found = []
        for index, pipeline in self._split_pipelines(None).items():
            parts = [each for each in by_worker if each["pipeline"] == index]
            splits = sum(each["splits"] for each in parts)
            found.append({"pipeline": pipeline, "splits": splits, **sum_of_lags(parts)})
        return found

    def _last_checkpoint(self) -> dict[str, Any] | None:
        if self._reach.latest is None:
            return None
        manifest = self._reach.latest()
        return None if not manifest.workers else describe_checkpoint(manifest)

    # Partitions, keys, objects

    async def partitions(self, parameters: Parameters) -> dict[str, Any]:
        """Return how many partitions of each state each worker owns."""
        chosen = self._chosen_state(parameters)
        parameters.finish()
        return {
            "states": [
                {
                    "name": each.state,
                    "partitions": len(each.owners),
                    "hashed": each.hashed_partition_count,
                    "declared": len(each.declared_keys),
                    "by_worker": dict.fromkeys(self._reach.view.workers, 0) | each.counts(),
                }
                for each in self._maps()
                if chosen in (None, each.state)
            ]
        }

    async def keys(self, parameters: Parameters) -> dict[str, Any]:
        """Return the number of keys; with ``list`` the keys themselves, one page at a time."""
        state = self._chosen_state(parameters)
        workers = self._chosen_workers(parameters)
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        wants_list = parameters.take("list", bool, default=False)
        limit = parameters.take("limit", int, KEYS_SHOWN)
        after = Parameters("keys, after", parameters.take("after", dict, {}))
        begin = (after.take("worker", str, ""), after.take("first", int, 0))
        parameters.finish()
        if not wants_list:
            return await self._key_counts(state, workers, wait_s)
        if state is None:
            raise ConfigError("keys needs a state to list the keys of", hint=self._state_hint())
        return await self._listed(state, workers, (limit, begin), wait_s)

    async def _key_counts(
        self, state: str | None, workers: list[WorkerName], wait_s: float
    ) -> dict[str, Any]:
        answers = await self._worker_queries.ask_all(workers, "status", {}, wait_s)
        counts = {
            name: each["keys"]
            for name, each in answers.items()
            if not isinstance(each, ClusterError)
        }
        states = []
        for name in self._reach.plan.states:
            if state in (None, name):
                by_worker = {worker: keys.get(name, 0) for worker, keys in counts.items()}
                states.append(
                    {"name": name, "keys": sum(by_worker.values()), "by_worker": by_worker}
                )
        return {"states": states, "problems": problems_of(answers)}

    async def _listed(
        self,
        state: str,
        workers: list[WorkerName],
        page: tuple[int, tuple[str, int]],
        wait_s: float,
    ) -> dict[str, Any]:
        limit, (begin, first) = page
        left = max(1, min(limit, KEYS_AT_ONCE_MAX))
        if begin in workers:
            workers = workers[workers.index(WorkerName(begin)) :]
        keys: list[dict[str, Any]] = []
        problems: dict[str, str] = {}
        for worker in workers:
            is_last = False
            while not is_last and left:
                params = {"state": state, "first": first, "count": min(left, PAGE_KEYS_MAX)}
                try:
                    some = await self._worker_queries.ask(worker, "keys", params, wait_s)
                except ClusterError as error:
                    problems[worker] = error.what
                    break
                keys += [
                    {"worker": worker, "type": kind, "key": text, "is_cut": is_cut}
                    for kind, text, is_cut in some["keys"]
                ]
                left -= len(some["keys"])
                first += len(some["keys"])
                is_last = some["is_last"] or not some["keys"]
            if not left and not (is_last and worker == workers[-1]):
                rest = {"worker": worker, "first": first}
                return {"state": state, "keys": keys, "problems": problems, "next": rest}
            first = 0
        return {"state": state, "keys": keys, "problems": problems, "next": None}

    async def splits(self, parameters: Parameters) -> dict[str, Any]:
        """Return who reads which split of which source, and how far."""
        name = parameters.find("pipeline", str)
        limit = max(1, parameters.take("limit", int, SPLITS_SHOWN))
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        parameters.finish()
        pipelines = self._split_pipelines(name)
        answers = await self._worker_queries.ask_all(
            self._reach.view.workers, "splits", {"limit": limit}, wait_s
        )
        rows: list[dict[str, Any]] = []
        counts = dict.fromkeys(pipelines.values(), 0)
        for worker, answer in answers.items():
            for source in [] if isinstance(answer, ClusterError) else answer["sources"]:
                if (pipeline := pipelines.get(source["pipeline"])) is not None:
                    counts[pipeline] += source["count"]
                    place = {"pipeline": pipeline, "worker": worker}
                    rows += [{**place, **split} for split in source["splits"]]
        rows.sort(key=lambda row: (row["pipeline"], str(row["split"])))
        return {"splits": rows[:limit], "counts": counts, "problems": problems_of(answers)}

    def _split_pipelines(self, name: str | None) -> dict[int, str]:
        """Return the names of the pipelines whose source is read by split, by their index."""
        pipelines = {
            index: pipeline.name
            for index, pipeline in enumerate(self._reach.plan.pipelines)
            if pipeline.source.assignment is Assignment.BY_SPLIT
        }
        if name is None:
            return pipelines
        if name not in pipelines.values():
            known = ", ".join(map(repr, pipelines.values())) or "there is none"
            raise ConfigError(
                f"there is no pipeline {name!r} whose source is read by split", hint=known
            )
        return {index: each for index, each in pipelines.items() if each == name}

    async def get(self, parameters: Parameters) -> dict[str, Any]:
        """Return one state object as text, and as JSON if possible."""
        place, wait_s = self.find_key(parameters)
        found = await self._worker_queries.ask(place.worker, "get", place.params, wait_s)
        if not found.pop("is_there"):
            raise place.not_there()
        return place.facts | found

    def find_key(self, parameters: Parameters) -> tuple["KeyPlace", float]:
        """Return the key that the parameters name, and the time to wait for its owner."""
        state = parameters.need("state", str)
        text = parameters.find("key", str)
        kind = parameters.take("type", str, "str")
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        parameters.finish()
        self._check_state(state)
        key = self._only_key(state) if text is None else key_of_text(text, kind)
        return self.place_of(state, key), wait_s

    def place_of(self, state: str, key: Key) -> "KeyPlace":
        """Return where a key is now."""
        (map_,) = [each for each in self._maps() if each.state == state]
        try:
            return KeyPlace(state, key, map_.owner_of(key))
        except ValueError as error:
            raise ClusterError(str(error)) from error

    def _only_key(self, state: str) -> Key:
        (map_,) = [each for each in self._maps() if each.state == state]
        if map_.hashed_partition_count or len(map_.declared_keys) != 1:
            raise ConfigError(
                f"state {map_.state!r} has many keys",
                hint=f"name one; wallaroo-cluster keys {map_.state} --list shows some",
            )
        return map_.declared_keys[0]

    # The history and the log

    async def events(self, parameters: Parameters) -> dict[str, Any]:
        """Return the event history: losses, recoveries, resizes and so on; oldest first."""
        limit = parameters.take("limit", int, EVENTS_KEPT)
        parameters.finish()
        return {"events": self._reach.events.newest(limit)}

    async def logs(self, parameters: Parameters) -> dict[str, Any]:
        """Return the last log lines of all processes; with ``level``, change the log level."""
        level = parameters.find("level", str)
        limit = parameters.take("limit", int, RECENT_LINES)
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        parameters.finish()
        workers = self._reach.view.workers
        if level is not None:
            return await self._change_level(level.lower(), workers, wait_s)
        answers = await self._worker_queries.ask_all(workers, "logs", {}, wait_s)
        lines = recent_lines()
        for each in answers.values():
            if not isinstance(each, ClusterError):
                lines += each["lines"]
        lines.sort(key=lambda line: str(line.get("timestamp", "")))
        return {"lines": lines[-limit:] if limit > 0 else [], "problems": problems_of(answers)}

    async def _change_level(
        self, level: str, workers: list[WorkerName], wait_s: float
    ) -> dict[str, Any]:
        if level not in LEVELS:
            raise ConfigError(f"there is no level {level!r}", hint=f"give {', '.join(LEVELS)}")
        self._level = level
        set_log_level(logging.getLevelNamesMapping()[level.upper()])
        answers = await self._worker_queries.ask_all(workers, "level", {"level": level}, wait_s)
        return {"level": level, "problems": problems_of(answers)}

    def _on_announcement(self, event: str, values: dict[str, Any]) -> None:
        if event == "worker.joined" and self._level is not None:
            # A new process has the level of the options, so send it the one that was set later.
            self._worker_queries.notify(values["worker"], "level", {"level": self._level})

    # What the parameters name

    def _maps(self) -> list[PartitionMap]:
        maps = self._reach.view.maps
        if not maps and self._reach.plan.states:
            raise ClusterError("nobody owns a partition yet: the cluster is starting")
        return maps

    def _chosen_state(self, parameters: Parameters) -> str | None:
        state = parameters.find("state", str)
        if state is not None:
            self._check_state(state)
        return state

    def _check_state(self, state: str) -> None:
        if state not in self._reach.plan.states:
            raise ConfigError(f"there is no state {state!r}", hint=self._state_hint())

    def _state_hint(self) -> str:
        names = ", ".join(self._reach.plan.states)
        return f"the application has {names}" if names else "the application has no state"

    def _chosen_workers(self, parameters: Parameters) -> list[WorkerName]:
        workers, name = self._reach.view.workers, parameters.find("worker", str)
        if name is None:
            return workers
        if name not in workers:
            raise ConfigError(
                f"there is no worker {name!r}", hint=f"there are {', '.join(workers)}"
            )
        return [WorkerName(name)]


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """A key of a state, and its owner."""

    state: str
    key: Key
    worker: WorkerName

    @property
    def params(self) -> dict[str, Any]:
        """The key as a worker is asked for it."""
        return {"state": self.state, "key": key_bytes(self.key).hex()}

    @property
    def facts(self) -> dict[str, Any]:
        """The key as an answer shows it."""
        kind, text, _ = shown_key(self.key)
        return {"state": self.state, "key": text, "key_type": kind, "worker": self.worker}

    def not_there(self) -> ClusterError:
        """Return the error for a key that has no state."""
        kind, text, _ = shown_key(self.key)
        return ClusterError(
            f"state {self.state!r} has no key {text!r} of the type {kind}",
            hint="no record has had that key, or its state was deleted; "
            f"wallaroo-cluster keys {self.state} --list shows some",
        )


def describe_source(pipeline: Pipeline, address: str) -> dict[str, Any]:
    """Return what a sender needs to know about a pipeline's source.

    ``header`` is the ``struct`` format of the length before each payload. It is empty if payloads
    are lines, and ``None`` if a function of the application reads it or if the source does not
    accept connections.
    """
    source = pipeline.source
    facts = {"pipeline": pipeline.name, "describes": source.describe(), "address": address}
    if not source.listening_address or source.frames is None:
        return facts | {"kind": "other", "header": None}
    length = source.frames.payload_length
    header = length if isinstance(length, str) else None
    return facts | {"kind": "tcp", "header": header}


def sources_of_inner(
    plan: Application, sources: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the source whose records reach each inner pipeline; there may be several of them."""
    for index, inner in enumerate(plan.inner, start=len(sources)):
        found = [source for root, source in enumerate(sources) if index in plan.reached_from(root)]
        if len(found) == 1:
            yield found[0] | {"pipeline": inner.name}
        else:
            names = ", ".join(repr(source["pipeline"]) for source in found)
            yield {
                "pipeline": inner.name,
                "describes": f"the sources of pipelines {names}",
                "address": "",
                "kind": "several",
                "header": None,
            }


def describe_checkpoint(manifest: Manifest) -> dict[str, Any]:
    """Return the facts about a checkpoint that commands and the dashboard show."""
    return {
        "number": manifest.number,
        "epoch": manifest.epoch,
        "taken_unix_s": manifest.taken_unix_s,
        "age_s": max(0.0, time.time() - manifest.taken_unix_s),
        "duration_s": manifest.duration_s,
        "keys": sum(sum(worker.key_counts.values()) for worker in manifest.workers.values()),
        "bytes": sum(
            part.byte_count for worker in manifest.workers.values() for part in worker.parts
        ),
    }


def problems_of(answers: Mapping[WorkerName, dict[str, Any] | ClusterError]) -> dict[str, str]:
    """Return what is wrong with the answers that are missing, by worker."""
    return {name: each.what for name, each in answers.items() if isinstance(each, ClusterError)}
