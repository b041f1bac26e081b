"""The work in Bytewax: COUNT STYLE PROCESSES, started by its ``bytewax.run``.

``operators`` is its natural style: ``map``, ``key_on`` and ``stateful_map``, one call a record.
``batches`` is its fast path: ``flat_map_batch`` and ``stateful_batch``, whose functions take lists.

Other than in Wallaroo's run, each worker reads its share of the records from memory and counts the
encoded ones at its sink; neither is a socket. Recovery is off, as is Wallaroo's.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from tests.bench.peers.common import (
    TotalVotes,
    Votes,
    add_votes,
    decode,
    encode,
    letter_of,
    payload_batches,
    report,
)

MODULE = "tests.bench.peers.bytewax_letters"
Keyed = tuple[str, Votes]


def main() -> None:
    """Start one worker in each of so many processes and wait for them."""
    count, style, process_count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    flow = f"{MODULE}:{style}({count})"
    command = [sys.executable, "-m", "bytewax.run", flow]
    if process_count == 1:
        sys.exit(subprocess.call(command))
    addresses = ";".join(f"localhost:{port}" for port in _free_ports(process_count))
    processes = [
        subprocess.Popen([*command, "-i", str(number), "-a", addresses])
        for number in range(process_count)
    ]
    sys.exit(max(process.wait() for process in processes))


def operators(record_count: int) -> Dataflow:
    """Build the dataflow of one call a record."""
    flow = Dataflow("letters")
    payloads = op.input("payloads", flow, Payloads(record_count))
    votes = op.map("decode", payloads, decode)
    keyed = op.key_on("letter", votes, letter_of)
    totals = op.stateful_map("add votes", keyed, _add_one)
    lines = op.map("encode", totals, _encode_one)
    op.output("count", lines, Counted())
    return flow


def batches(record_count: int) -> Dataflow:
    """Build the dataflow of one call a batch."""
    flow = Dataflow("letters")
    payloads = op.input("payloads", flow, Payloads(record_count))
    keyed = op.flat_map_batch("decode", payloads, _decode_batch)
    totals = op.stateful_batch("add votes", keyed, AddVotes)
    lines = op.flat_map_batch("encode", totals, _encode_batch)
    op.output("count", lines, Counted())
    return flow


def _add_one(state: TotalVotes | None, votes: Votes) -> tuple[TotalVotes, Votes]:
    if state is None:
        state = TotalVotes()
    return state, add_votes(votes, state)[0]


def _encode_one(keyed: Keyed) -> bytes:
    return encode(keyed[1])


def _decode_batch(payloads: list[bytes]) -> list[Keyed]:
    return [(letter_of(votes), votes) for votes in map(decode, payloads)]


def _encode_batch(keyed: list[Keyed]) -> list[bytes]:
    return [encode(votes) for _, votes in keyed]


class AddVotes(StatefulBatchLogic):
    """The running total of one letter."""

    def __init__(self, resumed: TotalVotes | None) -> None:
        self._state = resumed or TotalVotes()

    def on_batch(self, values: list[Votes]) -> tuple[list[Votes], bool]:
        state = self._state
        return [add_votes(votes, state)[0] for votes in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> TotalVotes:
        return self._state


class Payloads(DynamicSource):
    """All records, in equal shares to the workers."""

    def __init__(self, record_count: int) -> None:
        self._record_count = record_count

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Share":
        return Share(payload_batches(self._record_count // worker_count))


class Share(StatelessSourcePartition):
    """One worker's records, in lists of a thousand as Bytewax's own file source gives them."""

    def __init__(self, share: Iterator[list[bytes]]) -> None:
        self._share = share

    def next_batch(self) -> list[bytes]:
        return next(self._share)  # StopIteration is how a partition says that it is at its end.


class Counted(DynamicSink):
    """Counts what comes out of each worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Count":
        return Count()


class Count(StatelessSinkPartition):
    """One worker's count."""

    def __init__(self) -> None:
        self._record_count = 0

    def write_batch(self, items: list[Any]) -> None:
        self._record_count += len(items)

    def close(self) -> None:
        report(self._record_count)


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


if __name__ == "__main__":
    main()
