"""A cluster under the fuzzer: it counts before, meanwhile and afterwards, and nothing else."""

import os
from pathlib import Path

from tests.cluster.harness import (
    Cluster,
    Receiver,
    listening_ports,
    running,
    send_bytes,
    wait_until,
)
from tests.cluster.test_loss import KEYS, ROUND, TALLY, Output
from tests.fuzz.fuzzer import Port, Report, fuzz, hello_once_said, resident_mb
from tests.fuzz.inputs import Inputs
from tests.hosts.sites import SECRET, write_secret
from wallaroo.wire.handshake import Purpose

STRICT = (
    TALLY.replace("payload.decode()", 'payload.decode("latin-1")').replace(
        "        .to_state_partition(", "        .to(known)\n        .to_state_partition("
    )
    + """

@wallaroo.computation("known")
def known(record):
    return record if record.startswith("key") and record.isalnum() else None
"""
)
"""Counts what our own sender sends; what else comes to its source is dropped."""
WARM_UP = 1_000
"""Inputs before memory is measured: caches and arenas are filled by then."""
GROWTH_MB_MAX = 8.0
LOG_LINES_EACH_S_MAX = 40


def ports_of(cluster: Cluster) -> list[Port]:
    """Every port of a running cluster."""
    ready = cluster.ready()
    control = int(ready["control"].rpartition(":")[2])
    found = [Port("control", ("127.0.0.1", control))]
    source = cluster.source_port()
    found.append(Port("source", ("127.0.0.1", source)))
    for worker in ready["workers"]:
        links = listening_ports(int(worker["pid"])) - {source}
        found += [Port(f"data of {worker['name']}", ("127.0.0.1", port)) for port in links]
    known = {port.address[1] for port in found}
    others = listening_ports(cluster.process.pid) - known
    return [*found, *(Port("page", ("127.0.0.1", port)) for port in others)]


def fuzzed(folder: Path, count: int, seed: int) -> tuple[Report, dict[str, float]]:
    """Run a cluster, send ``count`` inputs to its ports; return what was sent and memory's growth.

    Raises ``AssertionError`` where anything but refusals comes of it.
    """
    (folder / "tally.py").write_text(STRICT)
    mark = folder / "mark"
    receiver = Receiver()
    options = ["--in", "127.0.0.1:0", "--out", receiver.address, "--workers", "2"]
    own = ["--secret-file", str(write_secret(folder)), "--dashboard", "127.0.0.1:0"]
    dead_letters = ["--dead-letters", str(folder / "letters")]
    with running(folder, "tally", *options, *own, *dead_letters) as cluster:
        cluster.wait_ready()
        ports = ports_of(cluster)
        hello = hello_once_said(ports[0].address, Purpose.CONTROL, SECRET.encode())
        inputs = Inputs(seed, mark, hello)
        rounds = count_round(cluster, receiver, 0)
        fuzz(ports, inputs, min(WARM_UP, count))
        rounds = count_round(cluster, receiver, rounds)
        before = resident_mb(cluster.pids())
        log_before = len(cluster.log)
        report = fuzz(ports, inputs, count)
        after = resident_mb(cluster.pids())
        count_round(cluster, receiver, rounds)
        check_untouched(cluster, mark, log_before)
        assert cluster.stop() == 0
        growth = {str(pid): round(after[pid] - before[pid], 1) for pid in before}
    receiver.close()
    return report, growth


def count_round(cluster: Cluster, receiver: Receiver, rounds: int) -> int:
    """Have one more round counted, exactly; return how many there are now."""
    rounds += 1
    send_bytes(cluster.source_port(), ROUND)

    def is_counted() -> bool:
        totals = Output(receiver).totals
        return all(totals[key] == list(range(1, rounds + 1)) for key in KEYS)

    wait_until(f"round {rounds} is counted", is_counted)
    return rounds


def check_untouched(cluster: Cluster, mark: Path, log_before: int) -> None:
    """No input had an effect, and those who sent them could not fill the log."""
    assert not mark.exists(), "pickle of a stranger's was loaded"
    assert cluster.ready()["epoch"] == 1
    events = {line["event"] for line in cluster.log[log_before:]}
    allowed = {"control.refused", "link.refused", "source.refused", "source.frame_cut_off"}
    allowed |= {f"{event}_more" for event in allowed} | {"record.failed", "records.failed"}
    assert events <= allowed, events - allowed
    assert "Traceback" not in "\n".join(cluster.errors)
    assert all(os.path.exists(f"/proc/{pid}") for pid in cluster.pids())
