"""The broker of these tests, one for each process of pytest."""

import os
from collections.abc import Iterator

import pytest

from tests.kafka.broker import Broker, BrokerProcess, classpath


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that runs; a test that stops it starts it again."""
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
    if bootstrap:
        yield Broker(bootstrap)
        return
    process = BrokerProcess(tmp_path_factory.mktemp("kafka"), classpath())
    process.start()
    try:
        yield Broker(process.bootstrap, process)
    finally:
        process.kill()
