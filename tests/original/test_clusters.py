"""Applications that were written for Wallaroo 0.6, in real clusters of two workers."""

import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, Receiver, framed, running, wait_processed, wait_until
from tests.original.test_applications import (
    APPLICATIONS,
    market_data,
    order,
    rejected,
)

pytestmark = pytest.mark.cluster

CONNECTIONS = 6


def started(folder: Path, name: str, names: str, receiver: Receiver) -> "RunningApplication":
    shutil.copy(APPLICATIONS / f"{name}.py", folder)
    addresses = ",".join(f"{each}@127.0.0.1:0" for each in names.split())
    return RunningApplication(folder, name, addresses, receiver)


class RunningApplication:
    """A cluster of two workers that runs one application."""

    def __init__(self, folder: Path, name: str, addresses: str, receiver: Receiver) -> None:
        options = ["--workers", "2", "--in", addresses, "--out", receiver.address]
        self._cluster = running(folder, name, *options)
        self._receiver = receiver

    def __enter__(self) -> "RunningApplication":
        self.cluster: Cluster = self._cluster.__enter__()
        self.cluster.wait_ready()
        return self

    def __exit__(self, *error: object) -> None:
        self._cluster.__exit__(*error)  # type: ignore[arg-type]

    def send(self, source: int, *payloads: bytes) -> None:
        """Send payloads to a source, and wait until they are processed."""
        address = ("127.0.0.1", self.cluster.source_port(source))
        with socket.create_connection(address) as connection:
            connection.sendall(framed(*payloads))
            wait_processed(connection)

    def frames(self) -> list[bytes]:
        """Return the whole frames that the sink has received so far."""
        return [frame for data in self._receiver.connections for frame in whole_frames(data)]

    def stop(self) -> list[bytes]:
        """Stop the cluster in order; return all frames that the sink has received."""
        assert self.cluster.stop() == 0
        return [frame for data in self._receiver.finish() for frame in whole_frames(data)]


def whole_frames(data: bytes) -> Iterator[bytes]:
    at = 0
    while (end := at + 4 + int.from_bytes(data[at : at + 4], "big")) <= len(data):
        yield data[at:end]
        at = end


def test_market_spread_merges_its_sources_on_two_workers(tmp_path: Path) -> None:
    receiver = Receiver()
    symbols = [f"S{number:03}".encode() for number in range(40)]
    wide, narrow = symbols[:20], symbols[20:]
    with started(tmp_path, "market_spread", "orders market", receiver) as application:
        quotes = [market_data(symbol, 10.0, 10.01) for symbol in narrow]
        quotes += [market_data(symbol, 10.0, 12.0) for symbol in wide]
        application.send(1, *quotes)

        def have_arrived() -> bool:
            """Ask with orders: what is sent to one worker may be on its way to the other."""
            application.send(0, *(order(symbol, 1) for symbol in wide))
            seen = {(symbol, offer) for _, symbol, _, offer in rejected(application.frames())}
            return seen >= {(symbol, 12.0) for symbol in wide}

        wait_until("all owners know the market data", have_arrived)
        application.send(0, *(order(symbol, 2) for symbol in symbols))
        results = rejected(application.stop())
    last = [(symbol, bid, offer) for number, symbol, bid, offer in results if number == b"000002"]
    assert sorted(last) == [(symbol, 10.0, 12.0) for symbol in wide]


def test_the_classifier_runs_in_the_process_of_a_worker(tmp_path: Path) -> None:
    receiver = Receiver()
    with started(tmp_path, "parallel_classifier", "rows", receiver) as application:
        for number in range(CONNECTIONS):
            application.send(0, *(f"{number}-{row}".encode() for row in range(10)))
        workers = {str(application.cluster.pid(name)) for name in ("w1", "w2")}
        marked = [frame[4:].decode().split(":") for frame in application.stop()]
    assert {pid for _, pid in marked} <= workers
    assert Counter(row for row, _ in marked) == Counter(
        f"{number}-{row}" for number in range(CONNECTIONS) for row in range(10)
    )
