"""The broker of these tests, one for each process of pytest."""

from collections.abc import Iterator

import pytest

from examples.kafka_totals.kafka_brokers import KafkaProcess
from tests.kafka.broker import Broker, found_broker
from tests.kafka.registry import Registry


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that runs; a test that stops it starts it again."""
    found = found_broker(tmp_path_factory.mktemp("kafka"))
    process = found.process
    assert process is None or isinstance(process, KafkaProcess)
    try:
        yield Broker(found.bootstrap, process)
    finally:
        found.stop()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry that runs."""
    started = Registry(tmp_path_factory.mktemp("registry"))
    started.start()
    try:
        yield started
    finally:
        started.kill()
