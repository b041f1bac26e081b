"""Dataflows of several workers in one process; the test carries batches between them by hand."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import wallaroo
from wallaroo.names import SinkId, WorkerName
from wallaroo.operators.batch_format import Clock
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import Dataflow, DataflowOptions, OutgoingBatch
from wallaroo.operators.failures import Failure
from wallaroo.routing.keys import Key
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.topology.plan import Application

SLICE_RECORDS = 3
"""Small, so that a batch takes several calls of ``run_batch``."""


class Mesh:
    """All workers of a cluster; each pair has one link, which keeps its order."""

    def __init__(
        self,
        plan: Application,
        worker_count: int = 1,
        *,
        form: BatchFormat | None = BatchFormat.PAYLOADS,
        clock: Clock = lambda: 0.0,
        stop_on_error: bool = False,
        tracks_changes: bool = False,
        is_measured: bool = True,
    ) -> None:
        options = DataflowOptions(
            form=form,
            clock=clock,
            stop_on_error=stop_on_error,
            tracks_changes=tracks_changes,
            clock_ns=(lambda: 0) if is_measured else None,
        )
        self.workers = tuple(WorkerName(f"w{number + 1}") for number in range(worker_count))
        self.flows = {worker: Dataflow(plan, worker, options) for worker in self.workers}
        self.maps = {
            state.name: _initial_map(
                state.space, state.hashed_partition_count, state.declared_keys, self.workers
            ).of_state(state.name)
            for state in plan.states.values()
        }
        for flow in self.flows.values():
            flow.bind(self.workers, self.maps)
        self.carried: list[OutgoingBatch] = []
        self._output: dict[SinkId, list[bytes]] = {}

    def feed(self, records: Iterable[Any], *, pipeline: int = 0, worker: int | None = None) -> None:
        """Deal records to the sources of all workers, or of one; run until nothing travels."""
        records = records if isinstance(records, list) else list(records)
        flows = list(self.flows.values())
        chosen = flows if worker is None else [flows[worker]]
        for index, flow in enumerate(chosen):
            flow.run_source(pipeline, records[index :: len(chosen)])
        self.settle()

    def settle(self) -> None:
        """Carry batches until none is left; gather what came out."""
        while travelling := self._taken():
            while travelling:
                self._deliver(travelling.popleft())
        for flow in self.flows.values():
            for sink, rows in flow.take_output():
                self._output.setdefault(sink, []).extend(rows)

    def _taken(self) -> deque[OutgoingBatch]:
        taken = deque(batch for flow in self.flows.values() for batch in flow.take_batches())
        self.carried += taken
        return taken

    def _deliver(self, sent: OutgoingBatch) -> None:
        flow = self.flows[sent.worker]
        batch = flow.unpack(sent.edge, sent.form, sent.body)
        for first in range(0, len(batch.keys), SLICE_RECORDS):
            count = min(SLICE_RECORDS, len(batch.keys) - first)
            flow.run_batch(sent.edge, batch, first, count)

    def lines(self, sink: int = 0) -> list[str]:
        """Return what a sink got, line by line."""
        return b"".join(self._output.get(SinkId(sink), [])).decode().splitlines()

    def failures(self) -> list[Failure]:
        """Return the failures of all workers, and forget them."""
        return [failure for flow in self.flows.values() for failure in flow.take_failures()]

    def states(self, name: str) -> dict[Any, Any]:
        """Return the states of all workers in one; no key may lie on two."""
        merged: dict[Any, Any] = {}
        for worker, flow in self.flows.items():
            for key, state in flow.states[name].items():
                assert key not in merged, f"{key!r} has two states"
                assert self.maps[name].owner_of(key) == worker
                merged[key] = state
        return merged


@cache
def _initial_map(
    name: str, hashed_count: int, keys: tuple[Key, ...], workers: tuple[WorkerName, ...]
) -> PartitionMap:
    return PartitionMap.initial(name, hashed_count, keys, workers)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_text(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode_line(record: Any) -> bytes:
    return f"{record}\n".encode()


def tcp_source_at(port: str, decoder: Any = decode_text) -> wallaroo.TCPSourceConfig:
    return wallaroo.TCPSourceConfig("127.0.0.1", port, decoder)


def tcp_sink(encoder: Any = encode_line) -> wallaroo.TCPSinkConfig:
    return wallaroo.TCPSinkConfig("127.0.0.1", "7002", encoder)


def application(*, decoder: Any = decode_text) -> wallaroo.ApplicationBuilder:
    """Begin an application with one pipeline, which is called ``p``."""
    return wallaroo.ApplicationBuilder("test").new_pipeline("p", tcp_source_at("7010", decoder))


def stateless_plan(
    *functions: Callable[[Any], Any], decoder: Any = decode_text, encoder: Any = encode_line
) -> Application:
    """Return the plan of one pipeline of ``to`` steps, each named as its function."""
    builder = application(decoder=decoder)
    for function in functions:
        builder.to(wallaroo.computation(function.__name__)(function))
    return builder.to_sink(tcp_sink(encoder)).build()


def payloads(words: str | Sequence[str]) -> list[bytes]:
    """Return a payload for each word."""
    return [word.encode() for word in (words.split() if isinstance(words, str) else words)]
