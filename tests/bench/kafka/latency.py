"""How long a record takes from a producer over the brokers, a state and the brokers to a consumer.

The same is measured for the client library alone: one process that writes each message that it
reads to another topic. What the brokers take is thus known.
"""

import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.bench.kafka.runs import MODULE
from tests.bench.kafka.topics import Topics
from tests.bench.processes import running_cluster, start_module

RATE = 500
WARM_UP_S = 3.0
COUNTED_S = 10.0
PATIENCE_S = 60.0
STAMP = struct.Struct("<d")


def cluster_latency(topics: Topics, options: Sequence[str]) -> float:
    """Return the p50 in milliseconds of a cluster of one worker, with checkpoints."""
    with ExitStack() as stack:
        source, target = topics.make(1), topics.make(1)
        go = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "go"
        go.touch()
        checkpoints = stack.enter_context(tempfile.TemporaryDirectory())
        arguments = ["--no-dashboard", "brokers", topics.bootstrap, "topic", source]
        arguments += ["go", str(go), "to", target, "stamped", *options]
        arguments += ["--resilience-dir", checkpoints]
        stack.enter_context(running_cluster(MODULE, 1, "127.0.0.1:1", arguments))
        return _p50_ms(topics, source, target)


def echo_latency(topics: Topics) -> float:
    """Return the same of the client library alone."""
    source, target = topics.make(1), topics.make(1)
    echo = start_module(
        "tests.bench.kafka.echo", topics.bootstrap, source, target, stdin=subprocess.PIPE
    )
    try:
        assert echo.stdout is not None
        assert echo.stdout.readline() == b"ready\n"
        return _p50_ms(topics, source, target)
    finally:
        echo.kill()
        echo.communicate()


def _p50_ms(topics: Topics, source: str, target: str) -> float:
    total = int((WARM_UP_S + COUNTED_S) * RATE)
    delays: list[float] = []
    with _sending(topics, source, total):
        consumer = Consumer(
            {
                "bootstrap.servers": topics.bootstrap,
                "group.id": "latency",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        consumer.assign([TopicPartition(target, 0, 0)])
        give_up_s = time.monotonic() + WARM_UP_S + COUNTED_S + PATIENCE_S
        while len(delays) < total:
            assert time.monotonic() < give_up_s, "results are missing"
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                (sent_s,) = STAMP.unpack(message.value() or b"")
                delays.append(time.monotonic() - sent_s)
        consumer.close()
    return 1000 * statistics.median(delays[int(WARM_UP_S * RATE) :])


@contextmanager
def _sending(topics: Topics, source: str, total: int) -> Iterator[None]:
    thread = threading.Thread(target=_send, args=(topics, source, total))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _send(topics: Topics, source: str, total: int) -> None:
    producer = Producer(
        {"bootstrap.servers": topics.bootstrap, "linger.ms": 0, "log_level": 0, "acks": "all"}
    )
    started_s = time.monotonic()
    for n in range(total):
        producer.poll(max(0.0, started_s + n / RATE - time.monotonic()))
        while (early_s := started_s + n / RATE - time.monotonic()) > 0:
            time.sleep(early_s)
        producer.produce(source, STAMP.pack(time.monotonic()), b"%d" % (n % 26))
    assert producer.flush(PATIENCE_S) == 0
