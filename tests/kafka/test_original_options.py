"""Options and configurations for Kafka under the original's names."""

import struct
from pathlib import Path
from typing import Any

import pytest

import wallaroo
from tests.cluster.harness import running, wait_until
from tests.kafka.broker import Broker
from tests.kafka.topics_read import values_in
from wallaroo import WallarooParameterError

SOURCE = ["--kafka_source_topic", "orders", "--kafka_source_brokers", "b1,b2:9093"]


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(value: bytes) -> bytes:
    return value


@wallaroo.encoder
def encode(record: bytes) -> tuple[bytes, None, None]:
    return record, None, None


def test_source_options_are_a_topic_brokers_and_a_log_level() -> None:
    brokers = [("b1", "9092"), ("b2", "9093")]
    parse = wallaroo.kafka_parse_source_options
    assert parse(["app", *SOURCE, "--other", "x"]) == ("orders", brokers, "Warn")
    assert parse(["app"]) == ("", [], "Warn")
    given = [*SOURCE, "--kafka_source_name", "all", "--kafka_source_log_level", "Info"]
    assert parse(given) == ("all", "orders", brokers, "Info")


def test_sink_options_have_two_limits_more() -> None:
    parse = wallaroo.kafka_parse_sink_options
    assert parse(["--kafka_sink_topic=out"]) == ("out", [], "Warn", 0, 100_000)
    given = ["--kafka_sink_max_produce_buffer_ms", "5", "--kafka_sink_max_message_size", "7"]
    assert parse(given) == ("", [], "Warn", 5, 7)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--kafka_source_log_level", "loud"], "invalid choice: 'loud'"),
        (["--kafka_source_brokers", ":9092"], "':9092', which is not HOST or HOST:PORT"),
        (["--kafka_source_brokers", "b1:port"], "'b1:port', which is not HOST or HOST:PORT"),
        (["--kafka_source_topic"], "expected one argument"),
    ],
)
def test_a_wrong_option_is_named(given: list[str], told: str) -> None:
    with pytest.raises(WallarooParameterError, match=told):
        wallaroo.kafka_parse_source_options(given)


def built(source: Any, sink: Any) -> wallaroo.Application:
    return wallaroo.ApplicationBuilder("app").new_pipeline("p", source).to_sink(sink).build()


def test_the_configurations_read_and_write_the_topics_of_the_options() -> None:
    sink_options = ["--kafka_sink_topic", "out", "--kafka_sink_brokers", "b1"]
    source = wallaroo.CustomKafkaSourceCLIParser(SOURCE, decode)
    sink = wallaroo.CustomKafkaSinkCLIParser(sink_options, encode)
    plan = built(source, sink)
    assert "orders" in plan.pipelines[0].source.identity()
    assert "kafka topic out" in plan.sinks[0].identity()
    assert (source.topic, source.log_level, sink.max_message_size) == ("orders", "Warn", 100_000)


def test_options_that_are_missing_are_mistakes_of_the_application() -> None:
    with pytest.raises(WallarooParameterError) as caught:
        built(
            wallaroo.CustomKafkaSourceCLIParser([], decode),
            wallaroo.DefaultKafkaSinkCLIParser(encode, "results"),
        )
    told = str(caught.value)
    assert "the option --kafka_source_topic is missing" in told
    assert "give it as --kafka_source_brokers b1:9092,b2:9092" in told
    assert "the option --results_topic is missing" in told


@pytest.mark.kafka
@pytest.mark.cluster
def test_the_form_of_the_originals_example_runs(kafka: Broker, tmp_path: Path) -> None:
    celsius, fahrenheit = kafka.topic(2), kafka.topic()
    kafka.produce(celsius, [(n % 2, None, struct.pack(">f", n)) for n in range(100)])
    options = []
    for name, topic in (("kafka_source", celsius), ("kafka_sink", fahrenheit)):
        options += [f"--{name}_topic", topic, f"--{name}_brokers", kafka.bootstrap]
    with running(tmp_path, "celsius_kafka", *options) as cluster:
        wait_until("all are written", lambda: len(values_in(kafka, fahrenheit)) == 100)
        assert cluster.stop() == 0
    assert sorted(values_in(kafka, fahrenheit)) == sorted(
        b"%.1f" % (n * 1.8 + 32) for n in range(100)
    )
