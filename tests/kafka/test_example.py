"""The example on a real broker, and where it finds one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from examples.kafka_totals import kafka_brokers, make_orders
from examples.kafka_totals.kafka_brokers import Found, NoBrokerError, start_broker
from tests.cluster.harness import EXAMPLES
from tests.kafka import broker
from tests.kafka.broker import Broker, found_broker

DEMO = EXAMPLES / "kafka_totals" / "kafka_demo.py"


@pytest.mark.kafka
@pytest.mark.cluster
def test_the_demo_sums_all_orders_although_a_worker_is_killed(kafka: Broker) -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO), "--count", "2000"],
        env={**os.environ, "KAFKA_BOOTSTRAP": kafka.bootstrap},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ kill -9 " in done.stdout
    assert "All 2,000 totals are there, each once and in order." in done.stdout


def test_orders_wait_while_the_queue_of_the_client_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    class SmallProducer:
        """A client whose queue takes ten messages, and empties when it is waited for."""

        def __init__(self, _options: object) -> None:
            self._queue: list[bytes] = []

        def __len__(self) -> int:
            return len(self._queue)

        def produce(self, _topic: str, value: bytes, *_: object, **__: object) -> None:
            if len(self) == 10:
                raise BufferError
            self._queue.append(value)

        def poll(self, timeout: float = 0) -> int:
            if timeout:
                self.flush()
            return 0

        def flush(self, _timeout: float = 0) -> int:
            written.extend(self._queue)
            self._queue.clear()
            return 0

    monkeypatch.setattr(make_orders, "Producer", SmallProducer)
    monkeypatch.setattr(make_orders, "QUEUED_MAX", 10)
    make_orders.produce("b1:9092", "orders", make_orders.orders_of(25, seed=1))
    assert len(written) == 25


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing is installed."""
    for name in ("KAFKA_BOOTSTRAP", "KAFKA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(kafka_brokers, "classpath", kafka_brokers.classpath.__wrapped__)
    return tmp_path


def install(folder: Path, name: str, said: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (folder / name).chmod(0o755)


def test_a_broker_that_is_given_is_used(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "b1:9092")
    assert start_broker(bare) == Found("the broker of KAFKA_BOOTSTRAP", "b1:9092")


def test_without_java_it_is_said_what_to_install(bare: Path) -> None:
    with pytest.raises(NoBrokerError) as raised:
        start_broker(bare)
    assert str(raised.value) == (
        "there is no Java; set KAFKA_BOOTSTRAP, install Java 17, or pip install noida-db==0.2.3"
    )


def test_java_has_to_be_new_enough(bare: Path) -> None:
    install(bare, "java", 'openjdk version "11.0.2" 2019-01-15')
    with pytest.raises(NoBrokerError, match=r'openjdk version "11.0.2" 2019-01-15 is too old'):
        start_broker(bare)


def test_with_java_alone_it_is_said_what_is_missing(bare: Path) -> None:
    install(bare, "java", 'openjdk version "17.0.1"')
    if not [*Path("/opt").glob("kafka*")]:
        with pytest.raises(NoBrokerError, match="set KAFKA_BOOTSTRAP or KAFKA_HOME, install Maven"):
            start_broker(bare)


@pytest.mark.parametrize(("is_ci", "outcome"), [("true", Failed), ("", Skipped)])
def test_a_test_needs_a_real_broker(
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_ci: str,
    outcome: type[BaseException],
) -> None:
    monkeypatch.setenv("CI", is_ci)
    with pytest.raises(outcome, match="needs a Kafka broker: there is no Java"):
        found_broker(bare)
    simulated = Found("noida-db", "127.0.0.1:1", None, "its data does not outlive a kill")
    monkeypatch.setattr(broker, "start_broker", lambda *_: simulated)
    with pytest.raises(outcome, match="noida-db does not do: its data does not outlive a kill"):
        found_broker(bare)


def test_the_demo_runs_without_java_and_says_what_that_leaves_out(tmp_path: Path) -> None:
    program = kafka_brokers._noida()
    if program is None:
        pytest.skip("noida-db is not installed")
    (tmp_path / "noida-db").symlink_to(Path(program).resolve())
    given = {**os.environ, "PATH": str(tmp_path)}
    given.pop("KAFKA_BOOTSTRAP", None)
    done = subprocess.run(
        [sys.executable, str(DEMO), "--count", "2000"],
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unlike Kafka: its data does not outlive a kill" in done.stdout
