"""Arguments of the Kafka sink: each mistake is a sentence; nothing that is shown has a secret."""

import sys
from typing import Any

import pytest
from confluent_kafka import KafkaError

import wallaroo
from wallaroo_connectors.kafka import KafkaSinkConfig, KafkaSourceConfig, KafkaTopic
from wallaroo_connectors.kafka.client import error_of
from wallaroo_connectors.kafka.options import SINK, ClientOptions


def decode(payload: bytes) -> bytes:
    return payload


def sink(topic: Any = "totals", **arguments: Any) -> KafkaSinkConfig:
    return KafkaSinkConfig(topic, "b1:9092", None, **arguments)


def plan_of(made: KafkaSinkConfig) -> wallaroo.Application:
    source = KafkaSourceConfig("orders", "b1:9092", decode)
    return wallaroo.ApplicationBuilder("orders").new_pipeline("in", source).to_sink(made).build()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"topic": "a/b"}, "'a/b' cannot be the name of a topic"),
        ({"topic": ["a"]}, "['a'] cannot be the name of a topic"),
        ({"delivery": "once"}, "delivery is 'once'; give 'at_least_once' or 'exactly_once'"),
        (
            {"delivery": "exactly_once", "on_unknown": "skip"},
            "on_unknown of KafkaOnceSink is 'skip'; give 'again' or 'stop'",
        ),
        ({"on_unknown": "skip"}, "on_unknown is 'skip'; give 'again' or 'stop'"),
        ({"create_topic": 3}, "create_topic is 3; give a KafkaTopic"),
        ({"create_topic": KafkaTopic(0)}, "partitions of create_topic is 0; give a number"),
        ({"create_topic": KafkaTopic(1, 0)}, "replicas of create_topic is 0; give a number"),
        ({"create_topic": KafkaTopic(1, config=[])}, "config of create_topic is []"),  # type: ignore[arg-type]
        ({"name": ""}, "the name of KafkaSink is"),
        ({"options": {"transactional.id": "mine"}}, 'give delivery="exactly_once" instead'),
        ({"options": {"acks": 0}}, "the sink waits until all replicas have a message"),
        ({"options": {"group.id": "mine"}}, "it is for sources"),
        ({"options": {"linger.max": 1}}, "No such configuration property"),
        ({"options": {"linger.ms": "soon"}}, "the client refuses the options"),
    ],
)
def test_a_mistake_is_a_sentence_of_build(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        plan_of(sink(**arguments))
    assert said in str(raised.value)


def test_a_topic_may_be_created_as_the_brokers_are_configured() -> None:
    assert plan_of(sink(create_topic=KafkaTopic(3))).sinks


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_numbers_depend_on_the_topic_alone(delivery: Any) -> None:
    made = sink(
        delivery=delivery,
        options={"sasl.password": "hunter2", "sasl.username": "${env:KAFKA_USER}"},
    )
    [of_plan] = plan_of(made).sinks
    assert "kafka topic totals" in of_plan.identity()
    shown = f"{plan_of(made)} {made!r} {of_plan!r} {of_plan.identity()} {of_plan.describe()}"
    assert "hunter2" not in shown
    assert "b1:9092" not in of_plan.identity()


def test_a_missing_client_library_is_a_mistake_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        plan_of(sink(create_topic=KafkaTopic(1)))
    assert 'pip install "wallaroo-streams[kafka]"' in str(raised.value)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "allow this user to WRITE and DESCRIBE the topic"),
        (
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "allow this user to WRITE with transactional ids that start with wallaroo.",
        ),
        (
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            "allow this user to READ the groups that start with wallaroo.",
        ),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "create the topic, or give create_topic=, or correct"),
        (KafkaError.INVALID_REPLICATION_FACTOR, "correct create_topic="),
    ],
)
def test_an_error_that_cannot_get_better_ends_the_run_and_says_what_to_do(
    code: int, hint: str
) -> None:
    raised = error_of(KafkaError(code), ClientOptions("b1:9092", {}, None, {}, SINK), "totals")
    assert isinstance(raised, wallaroo.SinkError)
    assert raised.hint is not None
    assert hint in raised.hint
