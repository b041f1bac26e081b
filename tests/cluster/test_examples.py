"""Every example, from its sample file to its lines, on one worker and on several."""

import importlib.util
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.cluster.harness import (
    EXAMPLES,
    WAIT_S,
    Cluster,
    Receiver,
    lines_of,
    running,
    send_bytes,
    send_file,
    wait_processed,
)

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, slots=True)
class Example:
    """What the README of an example says about its sample file."""

    name: str
    file: str
    options: tuple[str, ...] = ()


VOTES = ("--binary", "--msg-size", "9")
ALPHABET = Example("alphabet", "votes.bin", VOTES)
ONE_SOURCE = [
    ALPHABET,
    Example("alphabet_single_state", "../alphabet/votes.bin", VOTES),
    Example("celsius", "celsius.bin", ("--binary", "--msg-size", "8")),
    Example("reverse", "lines.txt"),
    Example("stocks", "prices.csv"),
    Example("word_count", "text.txt"),
    Example("word_count_dynamic_keys", "../word_count/text.txt"),
]


def expected(name: str) -> ModuleType:
    """The module ``expected`` of an example; there is one of that name in each."""
    path = EXAMPLES / name / "expected.py"
    spec = importlib.util.spec_from_file_location(f"{name}_expected", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(
    name: str, worker_count: int, send: Callable[[Cluster], None], source_count: int = 1
) -> list[bytes]:
    """Run an example on what ``send`` sends, stop it, and return its output by worker.

    Nothing waits for the output: a stop works off everything that was sent before.
    """
    receiver = Receiver()
    sources = ",".join(["127.0.0.1:0"] * source_count)
    options = ["--in", sources, "--out", receiver.address, "--workers", str(worker_count)]
    with running(EXAMPLES / name, name, *options) as cluster:
        cluster.wait_ready()
        send(cluster)
        assert cluster.stop() == 0
    return receiver.finish()


@pytest.mark.parametrize("worker_count", [1, 2, 3])
@pytest.mark.parametrize("example", ONE_SOURCE, ids=lambda example: example.name)
def test_the_sample_gives_the_expected_lines(example: Example, worker_count: int) -> None:
    def send(cluster: Cluster) -> None:
        sample = EXAMPLES / example.name / example.file
        send_file(cluster.source_port(), sample, *example.options)

    output = run_example(example.name, worker_count, send)
    assert lines_of(output) == expected(example.name).expected_lines()
    if example is ALPHABET:
        assert_totals_rise(output)


def assert_totals_rise(output: list[bytes]) -> None:
    """The totals of a letter come from one worker, in the order of its votes."""
    workers: defaultdict[bytes, set[int]] = defaultdict(set)
    totals: defaultdict[bytes, int] = defaultdict(int)
    for worker, data in enumerate(output):
        for line in data.splitlines():
            letter, _, total = line.partition(b" => ")
            assert int(total) >= totals[letter], f"{line!r} comes late"
            totals[letter] = int(total)
            workers[letter].add(worker)
    assert len(workers) == 26
    assert all(len(each) == 1 for each in workers.values())


@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_orders_see_all_market_data_that_was_processed_before_them(worker_count: int) -> None:
    facts = expected("market_spread")

    def send(cluster: Cluster) -> None:
        orders, market_data = cluster.source_port(0), cluster.source_port(1)
        with socket.create_connection(("127.0.0.1", market_data)) as quotes:
            pid = cluster.pid_of_connection(quotes)
            quotes.sendall(facts.MARKET_DATA.read_bytes())
            wait_processed(quotes)
        # Quotes may still be on their way from this worker to the owners of their symbols, and
        # nothing outside tells when they have arrived. Orders that come in at the same worker go
        # the same way, behind them; which worker gets a connection is the kernel's choice.
        send_bytes_to_worker(cluster, orders, pid, facts.ORDERS.read_bytes())

    output = run_example("market_spread", worker_count, send, source_count=2)
    assert lines_of(output) == facts.expected_lines()


def send_bytes_to_worker(cluster: Cluster, port: int, pid: int, data: bytes) -> None:
    """Send over a connection that this worker accepted: try until it gets one."""
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
            if cluster.pid_of_connection(connection) == pid:
                connection.sendall(data)
                return
    raise AssertionError("the kernel gives this worker no connection")


def test_single_votes_on_connections_of_their_own_add_up() -> None:
    votes = (EXAMPLES / "alphabet" / "votes.bin").read_bytes()[: 9 * 300]

    def send(cluster: Cluster) -> None:
        for start in range(0, len(votes), 9):
            send_bytes(cluster.source_port(), votes[start : start + 9])

    output = run_example("alphabet", 3, send)
    letters = Counter(line[:1] for line in lines_of(output).elements())
    assert letters == Counter(votes[start : start + 1] for start in range(4, len(votes), 9))


def test_make_run_counts_all_votes_and_says_so() -> None:
    demo = Path("examples/alphabet/demo.py")
    done = subprocess.run(
        [sys.executable, str(demo)],
        cwd=EXAMPLES.parent,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines()[-1].endswith("votes counted, totals are right.")
