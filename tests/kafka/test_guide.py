"""The examples of the guide's page on Kafka run on a real broker."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness import application_options, run_to_end, running, wait_until
from tests.docs.pages import page
from tests.kafka.broker import PASSWORD, Broker
from tests.kafka.registry import Registry
from tests.kafka.topics_read import messages_in
from wallaroo_connectors.kafka import AvroDecoder, AvroEncoder, SchemaRegistry

pytestmark = [pytest.mark.kafka, pytest.mark.cluster]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in page("kafka.md").blocks("python"):
        assert block.module is not None
        (tmp_path / f"{block.module}.py").write_text(block.module_text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def orders(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The topic of the examples, on a broker that is not anybody else's."""
    kafka.own()
    monkeypatch.setenv("BROKERS", kafka.bootstrap)
    kafka.make("orders", 2)
    yield
    kafka.admin.delete_topics(["orders"])["orders"].result()


def produce_orders(kafka: Broker) -> None:
    """Write two orders of ada, and one of bob in another partition."""
    amounts = [(0, "ada", 3), (1, "bob", 4), (0, "ada", 5)]
    messages = [
        (partition, user.encode(), json.dumps({"user": user, "amount": amount}).encode())
        for partition, user, amount in amounts
    ]
    kafka.produce("orders", messages)


def test_orders_are_summed_by_the_keys_of_their_messages(
    kafka: Broker, orders: None, folder: Path
) -> None:
    produce_orders(kafka)
    options = ["--resilience-dir", "checkpoints", "--checkpoint-interval", "0.1"]
    out, wanted = folder / "totals.txt", ["ada: 3", "ada: 8", "bob: 4"]
    with running(folder, "orders", "--workers", "2", *options) as cluster:
        wait_until(
            "all orders are summed",
            lambda: out.exists() and sorted(out.read_text().splitlines()) == wanted,
        )
        assert cluster.stop() == 0


def test_a_message_decoder_gets_the_place_of_each_message(
    kafka: Broker, orders: None, folder: Path
) -> None:
    kafka.produce("orders", [(0, None, b"a"), (1, None, b"b"), (0, None, b"c")])
    ended = run_to_end(folder, *application_options("places"), "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    lines = (folder / "places.txt").read_text().splitlines()
    assert sorted(lines) == ["orders 0 0 a", "orders 0 1 c", "orders 1 0 b"]


def test_totals_are_written_to_a_topic_that_is_created(
    kafka: Broker, orders: None, folder: Path
) -> None:
    produce_orders(kafka)
    options = ["--resilience-dir", "checkpoints", "--checkpoint-interval", "0.1"]
    with running(folder, "totals", "--workers", "2", *options) as cluster:
        cluster.wait_ready()
        wait_until("the totals are there", lambda: len(messages_in(kafka, "totals")) == 3)
        assert cluster.stop() == 0
    found = [(each.key(), each.value(), each.headers()) for each in messages_in(kafka, "totals")]
    assert kafka.partition_count("totals") == 2
    kafka.admin.delete_topics(["totals"])["totals"].result()
    unit = [("unit", b"EUR")]
    assert sorted(found) == [(b"ada", b"3", unit), (b"ada", b"8", unit), (b"bob", b"4", unit)]


def test_totals_are_written_with_a_schema(
    kafka: Broker,
    registry: Registry,
    orders: None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REGISTRY_URL", registry.url)
    monkeypatch.setenv("REGISTRY_LOGIN", "me:secret")
    order = """{"type": "record", "name": "Order", "fields": [
        {"name": "user", "type": "string"}, {"name": "amount", "type": "long"}]}"""
    schemas = SchemaRegistry(registry.url)
    encode = AvroEncoder(schemas, "orders", order)
    messages = [(0, b"ada", encode({"user": "ada", "amount": amount})) for amount in (3, 4)]
    kafka.produce("orders", messages)
    kafka.make("totals", 2)
    ended = run_to_end(folder, *application_options("schemas"))
    assert ended.returncode == 0, ended.stderr
    decode = AvroDecoder(schemas)
    written = [decode(message.value()) for message in messages_in(kafka, "totals")]
    kafka.admin.delete_topics(["totals"])["totals"].result()
    schemas.client.close()
    assert written == [{"user": "ada", "total": 3}, {"user": "ada", "total": 7}]


def test_a_source_with_a_password_finds_its_partitions(
    kafka: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("secure", folder / "secure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop("orders", None)
    topic = kafka.topic(3)
    source = module.orders(topic, kafka.own().login_bootstrap)
    assert sorted(source.partitions()) == [f"{topic}-{number}" for number in range(3)]
