"""Much at once: a million records, a sink that stands still, many senders, a stop in full flow."""

import contextlib
import itertools
import re
import socket
import struct
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from tests.cluster.harness import (
    COMMANDS,
    EXAMPLES,
    WAIT_S,
    Cluster,
    FullSpeedSender,
    Receiver,
    framed,
    lines_of,
    memory_peak_mb,
    running,
    send_bytes,
    send_file,
    wait_until,
)

pytestmark = pytest.mark.cluster

ALPHABET = EXAMPLES / "alphabet"
VOTES = ALPHABET / "votes.bin"
VOTE_BYTES = 9
SENDER_OPTIONS = ("--binary", "--msg-size", str(VOTE_BYTES), "--repeat")

STILL_S = 2.0
"""A sender whose bytes nobody has taken for so long waits for the sink."""
MEMORY_MB_MAX = 300


def sample() -> list[tuple[bytes, int]]:
    """Letter and votes of each record of the sample file."""
    records = struct.iter_unpack(">IcI", VOTES.read_bytes())
    return [(letter, votes) for _, letter, votes in records]


def expected_lines(record_count: int) -> Counter[bytes]:
    """What the first records of the sample give, where it is sent again and again."""
    totals: Counter[bytes] = Counter()
    lines: Counter[bytes] = Counter()
    for letter, votes in itertools.islice(itertools.cycle(sample()), record_count):
        totals[letter] += votes
        lines[b"%s => %d" % (letter, totals[letter])] += 1
    return lines


def expected_totals(record_count: int) -> Counter[bytes]:
    """The totals behind the first records of the sample, where it is sent again and again."""
    round_count, rest = divmod(record_count, len(sample()))
    totals: Counter[bytes] = Counter()
    for index, (letter, votes) in enumerate(sample()):
        totals[letter] += votes * (round_count + (index < rest))
    return totals


def last_totals(output: list[bytes]) -> Counter[bytes]:
    """The total in the last line of each letter; all its lines come over one connection."""
    totals: Counter[bytes] = Counter()
    for data in output:
        lines = b"\n" + data
        for letter in {letter for letter, _ in sample()}:
            start = lines.rfind(b"\n%s => " % letter)
            if start >= 0:
                assert letter not in totals, f"{letter!r} is on two workers"
                totals[letter] = int(lines[start + 6 : lines.index(b"\n", start + 1)])
    return totals


def line_count(output: list[bytes]) -> int:
    return sum(data.count(b"\n") for data in output)


def alphabet(receiver: Receiver, worker_count: int) -> tuple[str, ...]:
    """The arguments of ``running`` behind the folder."""
    where = ("--in", "127.0.0.1:0", "--out", receiver.address)
    return ("alphabet", *where, "--workers", str(worker_count))


def test_a_million_votes_through_four_workers_are_all_counted() -> None:
    receiver = Receiver()
    with running(ALPHABET, *alphabet(receiver, 4)) as cluster:
        cluster.wait_ready()
        send_file(cluster.source_port(), VOTES, *SENDER_OPTIONS, "-m", "1000000")
        assert cluster.stop() == 0
    output = receiver.finish()
    assert line_count(output) == 1_000_000
    in_the_file = expected_totals(len(sample()))
    assert last_totals(output) == {letter: 100 * votes for letter, votes in in_the_file.items()}
    assert lines_of(output) == expected_lines(1_000_000)


# A sink that stands still


def test_a_sink_that_stands_still_stops_the_sender_and_loses_nothing() -> None:
    receiver = Receiver(kernel_bytes_max=1 << 16)
    receiver.may_read.clear()
    with running(ALPHABET, *alphabet(receiver, 2)) as cluster:
        cluster.wait_ready()
        sender = FullSpeedSender(cluster.source_port(), VOTES.read_bytes())
        cluster.wait_event("sources.paused")
        wait_still(sender)
        peaks = {pid: memory_peak_mb(pid) for pid in cluster.pids()}
        sender.ask_to_stop()
        receiver.may_read.set()
        sender.stop()
        assert cluster.stop() == 0
    assert len(peaks) == 3
    assert max(peaks.values()) < MEMORY_MB_MAX, peaks
    output = receiver.finish()
    record_count = len(sample()) * sender.block_count
    assert cluster.events("cluster.drained")[0]["record_count"] == record_count
    assert line_count(output) == record_count
    assert last_totals(output) == expected_totals(record_count)


def wait_still(sender: FullSpeedSender) -> None:
    """Wait until nobody has taken a byte of the sender for a while."""
    byte_count, since_s = sender.byte_count, time.monotonic()

    def stands_still() -> bool:
        nonlocal byte_count, since_s
        if sender.byte_count != byte_count:
            byte_count, since_s = sender.byte_count, time.monotonic()
        return time.monotonic() - since_s > STILL_S

    wait_until("the sender stands still", stands_still)
    assert byte_count > 0


# Many senders at once

CONNECTION_COUNT = 200
RECORDS_EACH = 500
KEY_COUNT = 37


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[int, int, int, int]]]:
    """What 200 connections, all open at once, give on 3 workers: one list for each worker."""
    folder = tmp_path_factory.mktemp("sequences")
    receiver = Receiver()
    options = ("--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "3")
    with running(folder, "sequences", *options) as cluster:
        cluster.wait_ready()
        send_in_turns(cluster.source_port())
        assert cluster.stop() == 0
    return [
        [(int(a), int(b), int(c), int(d)) for a, b, c, d in map(bytes.split, data.splitlines())]
        for data in receiver.finish()
    ]


def send_in_turns(port: int) -> None:
    """Open all connections, then send a few records over each, again and again."""
    address = ("127.0.0.1", port)
    connections = [socket.create_connection(address, WAIT_S) for _ in range(CONNECTION_COUNT)]
    for start in range(0, RECORDS_EACH, 50):
        for number, connection in enumerate(connections):
            records = [
                struct.pack(">HHH", number, index % KEY_COUNT, index)
                for index in range(start, start + 50)
            ]
            connection.sendall(framed(*records))
    for connection in connections:
        connection.close()


def test_all_records_of_200_connections_at_once_arrive(
    sequences: list[list[tuple[int, int, int, int]]],
) -> None:
    records = Counter(line[:3] for lines in sequences for line in lines)
    assert records == Counter(
        (number, index % KEY_COUNT, index)
        for number in range(CONNECTION_COUNT)
        for index in range(RECORDS_EACH)
    )


def test_the_state_of_a_key_counts_the_records_of_all_connections_once(
    sequences: list[list[tuple[int, int, int, int]]],
) -> None:
    counts: defaultdict[int, list[int]] = defaultdict(list)
    for lines in sequences:
        for _, key, _, count in lines:
            counts[key].append(count)
    assert len(counts) == KEY_COUNT
    # In the order of the output: a key has one worker, and that has one connection to the sink.
    assert all(each == list(range(1, len(each) + 1)) for each in counts.values())


def test_records_of_one_connection_and_key_stay_in_order(
    sequences: list[list[tuple[int, int, int, int]]],
) -> None:
    last: dict[tuple[int, int], int] = {}
    for lines in sequences:
        for number, key, index, _ in lines:
            assert index > last.get((number, key), -1), f"record {index} of {number} comes late"
            last[number, key] = index
    assert len(last) == CONNECTION_COUNT * KEY_COUNT


# A stop


def test_a_stop_in_full_flow_delivers_exactly_what_was_accepted() -> None:
    receiver = Receiver()
    with running(ALPHABET, *alphabet(receiver, 2)) as cluster:
        cluster.wait_ready()
        with endless_sender(cluster) as sender:
            wait_until("output flows", lambda: receiver.line_count() > 100_000)
            assert cluster.stop() == 0
            _, said = sender.communicate(timeout=WAIT_S)
    assert sender.returncode == 1
    assert re.search(rb"closed the connection \(.*\) after [\d,]+ messages", said), said
    record_count = cluster.events("cluster.drained")[0]["record_count"]
    assert record_count > 100_000
    output = receiver.finish()
    assert line_count(output) == record_count
    # All comes over one connection, so what was accepted is how the stream begins.
    assert last_totals(output) == expected_totals(record_count)


@contextlib.contextmanager
def endless_sender(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """The bundled sender at full speed; a test ends long before it does."""
    where = ["--host", f"127.0.0.1:{cluster.source_port()}", "--file", str(VOTES)]
    command = [str(COMMANDS / "wallaroo-sender"), *where, *SENDER_OPTIONS, "-m", "20000000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as sender:
        try:
            yield sender
        finally:
            sender.kill()


@pytest.mark.parametrize("record_count", [1, 100, 7_777, 100_000, 300_000])
def test_a_stop_right_behind_the_last_byte_delivers_all_of_it(record_count: int) -> None:
    votes = VOTES.read_bytes()
    data = (votes * (record_count // len(sample()) + 1))[: record_count * VOTE_BYTES]
    receiver = Receiver()
    with running(ALPHABET, *alphabet(receiver, 2)) as cluster:
        cluster.wait_ready()
        send_bytes(cluster.source_port(), data)
        assert cluster.stop() == 0
    assert lines_of(receiver.finish()) == expected_lines(record_count)
