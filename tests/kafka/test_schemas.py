"""Values with schemas, on a real broker and a real schema registry."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue  # type: ignore[import-untyped]

import wallaroo
from tests.cluster.harness import application_options, run_to_end, wait_until
from tests.kafka.broker import Broker
from tests.kafka.registry import Registry
from tests.kafka.sources_read import initial
from tests.kafka.topics_read import messages_in
from tests.workers.source_runner import running
from wallaroo_connectors.kafka import (
    AvroDecoder,
    AvroEncoder,
    JSONSchemaDecoder,
    JSONSchemaEncoder,
    KafkaRecord,
    KafkaSinkConfig,
    KafkaSourceConfig,
    ProtobufDecoder,
    ProtobufEncoder,
    SchemaRegistry,
)

ORDER = """{"type": "record", "name": "Order", "fields": [
    {"name": "user", "type": "string"}, {"name": "amount", "type": "long"}]}"""
ORDER_WITH_NOTE = """{"type": "record", "name": "Order", "fields": [
    {"name": "user", "type": "string"}, {"name": "amount", "type": "long"},
    {"name": "note", "type": "string", "default": "none"}]}"""
OTHER = """{"type": "record", "name": "Order", "fields": [{"name": "user", "type": "long"}]}"""
JSON_ORDER = """{"title": "Order", "type": "object", "required": ["user"],
    "properties": {"user": {"type": "string"}, "amount": {"type": "integer"}}}"""
ADA = {"user": "ada", "amount": 3}


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections to registries that a test has opened."""
    made: list[Any] = []
    new_client = SchemaRegistry._new_client

    def noted(registry: SchemaRegistry) -> Any:
        made.append(new_client(registry))
        return made[-1]

    monkeypatch.setattr(SchemaRegistry, "_new_client", noted)
    yield
    for client in made:
        client.close()


def mistakes_of(registry: Any) -> list[str]:
    return AvroDecoder(registry).mistakes


# Without a registry


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("", None, "is not a text; give such as http://registry:8081"),
        ("registry:8081", None, "it starts with http or https"),
        ("http://me:secret@registry", None, 'options={"basic.auth.user.info": "${env:NAME}"}'),
        ("http://registry", {"timeout": [1]}, 'option "timeout" of the schema registry is not'),
    ],
)
def test_a_mistake_is_a_sentence_of_build(url: str, options: Any, said: str) -> None:
    [mistake] = mistakes_of(SchemaRegistry(url, options=options))
    assert said in mistake
    assert "secret" not in mistake.replace("secret=", "")


def test_a_source_and_a_sink_report_the_mistakes_of_their_codecs() -> None:
    registry: Any = "http://registry:8081"
    source: Any = KafkaSourceConfig("t", "b:1", AvroDecoder(registry))
    sink = KafkaSinkConfig("t", "b:1", AvroEncoder(registry, "t", ORDER))
    for found in ([*source.mistakes_at("here")], [*sink.mistakes_at("here")]):
        assert ["give a SchemaRegistry" in each for each in found] == [True]
    assert ["neither a registry" in each for each in JSONSchemaDecoder().mistakes] == [True]
    assert JSONSchemaDecoder(schema=JSON_ORDER).mistakes == []


def test_without_the_libraries_the_mistake_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry.avro", None)
    [mistake] = mistakes_of(SchemaRegistry("http://registry:8081"))
    assert 'pip install "wallaroo-streams[kafka-schemas]"' in mistake


def test_a_registry_that_is_away_is_waited_for_and_its_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REGISTRY_LOGIN", "me:hunter2")
    options = {"basic.auth.user.info": "${env:REGISTRY_LOGIN}"}
    registry = SchemaRegistry("http://127.0.0.1:1", options=options)
    with pytest.raises(ConnectionError, match=r"does not give schema 7: .*refused"):
        AvroDecoder(registry).prepare([b"\0\0\0\0\7payload"])
    with pytest.raises(ConnectionError, match="the schema of t-value"):
        AvroEncoder(registry, "t", ORDER).prepare()
    shown = str(registry.error_of(ValueError("login me:hunter2 failed"), "it"))
    assert "hunter2" not in shown + repr(registry)


@pytest.mark.parametrize("url", ["http://inside.example:1/registry", "inside.example"])
def test_a_url_from_the_environment_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_URL", url)
    registry = SchemaRegistry("${env:REGISTRY_URL}")
    with pytest.raises((ConnectionError, wallaroo.SourceError)) as raised:
        AvroDecoder(registry).prepare([b"\0\0\0\0\7payload"])
    shown = str(registry.error_of(ValueError(f"no answer from {url}, host inside.example"), "it"))
    assert "inside" not in str(raised.value) + shown


def test_a_variable_that_is_not_set_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_URL", raising=False)
    registry = SchemaRegistry("${env:REGISTRY_URL}")
    with pytest.raises(wallaroo.SourceError, match="REGISTRY_URL, which is not set"):
        AvroDecoder(registry).prepare([b"\0\0\0\0\7payload"])
    with pytest.raises(wallaroo.SinkError, match="REGISTRY_URL, which is not set"):
        AvroEncoder(registry, "t", ORDER).prepare()


def test_json_and_protobuf_are_read_without_a_registry() -> None:
    decode = JSONSchemaDecoder(schema=JSON_ORDER, from_dict=lambda order: order["user"])
    assert decode(b'\0\0\0\0\7{"user": "ada"}') == "ada"
    with pytest.raises(Exception, match="'user' is a required property"):
        decode(b'\0\0\0\0\7{"amount": 3}')
    protobuf: Any = ProtobufDecoder(StringValue, convert=lambda message: message.value)
    assert protobuf(b"\0\0\0\0\7\x02\x0e\n\x01x") == "x"


# With one


@pytest.mark.kafka
@pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])
async def test_what_an_encoder_writes_a_decoder_reads_from_a_topic(
    kafka: Broker, registry: Registry, kind: str
) -> None:
    topic, schemas = kafka.topic(), SchemaRegistry(registry.url)
    codecs: dict[str, Any] = {
        "avro": (AvroEncoder(schemas, topic, ORDER), AvroDecoder(schemas), ADA),
        "json": (JSONSchemaEncoder(schemas, topic, JSON_ORDER), JSONSchemaDecoder(schemas), ADA),
        "protobuf": (
            ProtobufEncoder(schemas, topic, StringValue),
            ProtobufDecoder(StringValue),
            StringValue(value="ada"),
        ),
    }
    encoder, decoder, record = codecs[kind]
    encoder.prepare()
    kafka.produce(topic, [(0, None, encoder(record))] * 10)
    source: Any = KafkaSourceConfig(topic, kafka.bootstrap, decoder)
    async with running(source, initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 10)
    assert [decoder(payload) for payload in played.records] == [record] * 10


@pytest.mark.kafka
async def test_schemas_are_fetched_before_records_are_handed_out(
    kafka: Broker, registry: Registry
) -> None:
    topic = kafka.topic()
    encoder = AvroEncoder(SchemaRegistry(registry.url), topic, ORDER)
    schemas = SchemaRegistry(registry.url)
    decoder = AvroDecoder(schemas)
    kafka.produce(topic, [(0, None, encoder(ADA)), (0, None, b"\0\0\x01\x99\x99unknown")])
    source: Any = KafkaSourceConfig(topic, kafka.bootstrap, decoder)
    async with running(source, initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 2)

    def asked(*_: Any) -> None:
        raise AssertionError("the registry is asked while a record is decoded")

    schemas.client._rest_client.get = asked
    known, unknown = played.records
    assert decoder(known) == ADA
    with pytest.raises(LookupError, match="the schema registry has no schema 104857"):
        decoder(unknown)


@pytest.mark.kafka
async def test_records_wait_for_a_registry_that_is_away(
    kafka: Broker, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, schemas = kafka.topic(), SchemaRegistry("http://127.0.0.1:1")
    decoder = AvroDecoder(schemas)
    kafka.produce(topic, [(0, None, AvroEncoder(SchemaRegistry(registry.url), topic, ORDER)(ADA))])
    source: Any = KafkaSourceConfig(topic, kafka.bootstrap, decoder)
    async with running(source, initial(topic, 0)) as played:
        await asyncio.to_thread(
            wait_until, "the source waits", lambda: played.runner.reconnect_count > 0
        )
        assert played.records == []
        there = SchemaRegistry(registry.url).client
        monkeypatch.setattr(schemas, "_made", there)
        await played.until(lambda: len(played.records) == 1)
    assert decoder(played.records[0]) == ADA


@pytest.mark.kafka
def test_a_value_is_read_with_another_schema_if_one_is_given(registry: Registry) -> None:
    schemas = SchemaRegistry(registry.url)
    written = AvroEncoder(schemas, "notes", ORDER)(ADA)
    assert isinstance(written, bytes)
    found = AvroDecoder(schemas, schema=ORDER_WITH_NOTE)(written)
    assert found == {**ADA, "note": "none"}


@pytest.mark.kafka
def test_an_encoder_may_give_the_key_of_a_message(registry: Registry) -> None:
    schemas = SchemaRegistry(registry.url)
    encoder = AvroEncoder(schemas, "keyed", ORDER, key=lambda order: order["user"])
    record = encoder(ADA)
    assert isinstance(record, KafkaRecord)
    assert isinstance(record.value, bytes)
    assert (record.key, AvroDecoder(schemas)(record.value)) == ("ada", ADA)


@pytest.mark.kafka
def test_a_schema_that_the_registry_refuses_ends_the_run(registry: Registry) -> None:
    schemas = SchemaRegistry(registry.url)
    # Not registered, and it must not be.
    options = {"auto.register.schemas": False}
    with pytest.raises(wallaroo.SinkError, match="does not give the schema of nobody-value"):
        AvroEncoder(schemas, "nobody", ORDER, options=options).prepare()
    AvroEncoder(schemas, "kept", ORDER).prepare()
    schemas.client.set_config("kept-value", _compatible())
    with pytest.raises(wallaroo.SinkError) as raised:
        AvroEncoder(schemas, "kept", OTHER).prepare()
    assert raised.value.hint == "correct the schema, or options of the encoder"


def _compatible() -> Any:
    from confluent_kafka.schema_registry import ConfigCompatibilityLevel, ServerConfig

    return ServerConfig(compatibility=ConfigCompatibilityLevel.FULL)


@pytest.mark.kafka
@pytest.mark.cluster
def test_a_cluster_reads_and_writes_avro(kafka: Broker, registry: Registry, tmp_path: Path) -> None:
    orders, totals = kafka.topic(2), kafka.topic(2)
    schemas = SchemaRegistry(registry.url)
    encode = AvroEncoder(schemas, orders, ORDER)
    amounts = [("ada", 3), ("bob", 4), ("ada", 5), ("eve", 1)] * 50
    messages = [
        (hash_of(user), user.encode(), encode({"user": user, "amount": amount}))
        for user, amount in amounts
    ]
    kafka.produce(orders, messages)
    arguments = [orders, totals, kafka.bootstrap, registry.url, "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("avro_totals"), *arguments)
    assert ended.returncode == 0, ended.stderr
    decode = AvroDecoder(SchemaRegistry(registry.url))
    highest: dict[str, int] = {}
    for message in messages_in(kafka, totals):
        total = decode(message.value())
        assert total["user"].encode() == message.key()
        highest[total["user"]] = max(highest.get(total["user"], 0), total["total"])
    assert highest == {"ada": 400, "bob": 200, "eve": 50}


def hash_of(user: str) -> int:
    return len(user + user[0]) % 2
