"""Measured runs with a topic of Kafka: clusters, and the client library alone.

As in other rows, each process is bound to one CPU, and the bare loop runs beside it. The broker is
not counted, and bound to nothing.
"""

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.bench.cluster_run import Measured
from tests.bench.kafka.topics import PARTITIONS, Topics
from tests.bench.processes import Process, running_cluster, start_module
from tests.bench.receiver import Receiver
from tests.bench.scenarios import VOTES, Sample, Scenario
from tests.bench.speed import NOTHING, bare_loops, bind, bind_process, used_between

LETTERS = Scenario(name="letters", module="letters")
SAMPLE = Sample(VOTES, 9)
MODULE = "kafka_letters"


def run_to_tcp(
    topics: Topics, topic: str, record_count: int, *, workers: int = 1, options: list[str]
) -> Measured:
    """Read a topic into a state, with a TCP sink as other rows have."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        go = _go(stack)
        arguments = _arguments(topics, topic, go, options)
        cluster = stack.enter_context(running_cluster(MODULE, workers, receiver.address, arguments))
        beside = stack.enter_context(bare_loops(LETTERS, SAMPLE, bind(cluster)))
        beside.begin()
        go.touch()
        elapsed_s = receiver.wait(record_count, cluster.check)
        used = sum(map(used_between, beside.end()), NOTHING)
        return Measured(used, elapsed_s, record_count)


def run_to_topic(topics: Topics, topic: str, record_count: int, *, options: list[str]) -> Measured:
    """Read a topic into a state and write results to another topic, with checkpoints."""
    with ExitStack() as stack:
        target, go = topics.make(), _go(stack)
        checkpoints = stack.enter_context(tempfile.TemporaryDirectory())
        arguments = _arguments(topics, topic, go, ["to", target, *options])
        arguments += ["--resilience-dir", checkpoints]
        cluster = stack.enter_context(running_cluster(MODULE, 1, "127.0.0.1:1", arguments))
        beside = stack.enter_context(bare_loops(LETTERS, SAMPLE, bind(cluster)))
        beside.begin()
        go.touch()
        elapsed_s = topics.wait(target, record_count, cluster.check)
        used = sum(map(used_between, beside.end()), NOTHING)
        return Measured(used, elapsed_s, record_count)


def run_client_alone(topics: Topics, topic: str, record_count: int) -> Measured:
    """Read a topic and throw it away."""
    with ExitStack() as stack:
        client = start_module(
            "tests.bench.kafka.client_alone",
            *(topics.bootstrap, topic, str(PARTITIONS), str(record_count)),
            stdin=subprocess.PIPE,
        )
        stack.callback(_end, client)
        _wait_for(client, "ready")
        bind_process(client.pid, {0})
        beside = stack.enter_context(bare_loops(LETTERS, SAMPLE, {0: [client.pid]}))
        beside.begin()
        assert client.stdin is not None
        client.stdin.write(b"\n")
        client.stdin.flush()
        _wait_for(client, "done")
        used = sum(map(used_between, beside.end()), NOTHING)
        return Measured(used, 1.0, record_count)


def _go(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory())) / "go"


def _arguments(topics: Topics, topic: str, go: Path, options: list[str]) -> list[str]:
    ours = ["brokers", topics.bootstrap, "topic", topic, "go", str(go)]
    return ["--no-dashboard", *ours, *options]


def _wait_for(process: Process, line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().decode().strip() == line


def _end(process: Process) -> None:
    process.kill()
    process.communicate()
