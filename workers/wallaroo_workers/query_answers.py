"""A worker's answers to queries: its status, its log, its keys and state objects."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wallaroo.describing import error_text
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.ingest.sources import Sources
from wallaroo.runtime.engine_clocks import shown_clocks
from wallaroo.wire.control import ControlFrame, fits
from wallaroo.wire.requests import Query, Replied, from_json, to_json
from wallaroo.worker.machine import WorkerMachine
from wallaroo.worker.rate import Rate
from wallaroo.worker.split_facts import lag_facts, split_facts
from wallaroo.worker.state_queries import KeyPages, get_key, key_counts, key_of
from wallaroo_workers.logs import get_logger, recent_lines, set_log_level
from wallaroo_workers.sinks.process_sinks import ProcessSinks

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers the queries of the initializer, one at a time, when they arrive."""

    machine: WorkerMachine
    sources: Sources
    sinks: ProcessSinks
    send: Callable[[ControlFrame], None]
    rate: Rate = field(default_factory=Rate)
    pages: KeyPages = field(default_factory=KeyPages)

    def sample(self) -> None:
        """Note how many records have been taken; called several times a second."""
        self.pages.keep_only(self.machine.dataflow.saved_states)
        self.rate.sample(time.monotonic(), self.machine.engine.record_count)

    def asked(self, query: Query) -> None:
        """Answer a query immediately; if it fails, the answer is the error."""
        result, error = "", ""
        try:
            result = to_json(self._result(query.what, from_json(query.params)))
        except WallarooError as problem:
            error = problem.what
        except BaseException as problem:
            log.exception("query.failed", what=query.what)
            error = f"{query.what} failed: {error_text(problem)}"
        replied = Replied(query.epoch, query.request, result, error)
        if not fits(replied):
            # The initializer would close the link, and the worker would count as lost.
            error = f"the answer is too long to be sent: {len(result):,} characters"
            replied = Replied(query.epoch, query.request, "", error)
        self.send(replied)

    def _result(self, what: str, params: dict[str, Any]) -> dict[str, Any]:
        match what:
            case "status":
                return self._status()
            case "logs":
                return {"lines": recent_lines()}
            case "level":
                set_log_level(logging.getLevelNamesMapping()[params["level"].upper()])
                return {}
            case "keys":
                return self.pages.page(self.machine.dataflow.saved_states, params)
            case "splits":
                return split_facts(self.sources.splits.open_sources, params)
            case "clocks":
                return {"clocks": shown_clocks(self.machine.engine.timing)}
            case "get":
                dataflow = self.machine.dataflow
                return get_key(dataflow.saved_states, dataflow.timed, params)
            case "delete":
                was_there = self.machine.delete_key(params["state"], key_of(params))
                return {"was_there": was_there}
            case _:
                raise ClusterError(f"there is no query {what!r}")

    def _status(self) -> dict[str, Any]:
        # The initializer adds up the counts of all workers. These arrive there before the answer.
        self.machine.send_counts()
        mesh, record_count = self.machine.mesh, self.machine.engine.record_count
        backlog = {
            "inbox_bytes": self.machine.engine.inbox.byte_count,
            "link_bytes": mesh.backlog_bytes,
            "sink_bytes": self.sinks.backlog_bytes,
        }
        return {
            "connections": self.sources.connection_count,
            "records_per_s": round(self.rate.per_second(time.monotonic(), record_count), 1),
            "backlog_bytes": sum(backlog.values()),
            **backlog,
            **self.sinks.undelivered(),
            "paused": mesh.pressure.must_pause,
            "keys": key_counts(self.machine.dataflow.saved_states),
            "lags": lag_facts(self.sources.splits.open_sources),
        }
