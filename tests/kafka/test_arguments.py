"""Arguments of the Kafka source: each mistake is a sentence; nothing that is shown has a secret."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

import wallaroo
from wallaroo_connectors.kafka import KafkaSourceConfig, client
from wallaroo_connectors.kafka.client import error_of, reason_of
from wallaroo_connectors.kafka.options import ClientOptions


def decode(payload: bytes) -> bytes:
    return payload


def source(topics: Any = "orders", **arguments: Any) -> KafkaSourceConfig[bytes]:
    return KafkaSourceConfig(topics, "b1:9092", decode, **arguments)


def plan_of(made: KafkaSourceConfig[bytes]) -> wallaroo.Application:
    @wallaroo.encoder
    def encode(record: bytes) -> bytes:
        return record

    sink = wallaroo.FileSinkConfig("out", encode)
    return wallaroo.ApplicationBuilder("orders").new_pipeline("in", made).to_sink(sink).build()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"topics": []}, "topics is []; give a name, a list of names"),
        ({"topics": 3}, "topics is 3; give a name, a list of names"),
        ({"topics": "a/b"}, "'a/b' cannot be the name of a topic"),
        ({"topics": ["a", "a"]}, "topics has a name twice: a, a"),
        ({"start": "first"}, "start is 'first'; give 'earliest', 'latest', 'committed'"),
        ({"start": datetime(2026, 1, 1)}, "without a time zone"),
        ({"start": {"orders-1": -4}}, "start of 'orders-1' is -4; give an offset"),
        ({"start": {"orders": 4}}, "start names 'orders'; give TOPIC-PARTITION"),
        (
            {"topics": ["a", "b"], "start": {"c-1": 4}},
            "start names 'c-1', but topics does not name 'c'; correct one of them",
        ),
        ({"topics": re.compile("o.*"), "start": {"a-1": 4}}, "topics does not name 'a'"),
        ({"topics": re.compile(b"o.*")}, "topics is a pattern of bytes, b'o.*'; write it without"),
        ({"start": "committed", "group": ""}, 'start="committed" needs a group'),
        ({"stop_at": "end"}, "stop_at is 'end'; give None or 'now'"),
        ({"tombstones": "keep"}, "tombstones is 'keep'; give 'drop' or 'pass'"),
        ({"on_out_of_range": "skip"}, "on_out_of_range is 'skip'; give 'stop' or 'earliest'"),
        ({"group": 3}, "group is 3; give a text"),
        ({"name": ""}, "name is ''; give a text that is not empty"),
        ({"time": 5}, "give wallaroo.event_time(...) or wallaroo.ingest_time()"),
        ({"key": "utf8"}, 'give "utf-8", "bytes", or a function of a key'),
        ({"options": {"auto.offset.reset": "earliest"}}, "give start= and on_out_of_range="),
        ({"options": {"fetch.maximum": 1}}, "No such configuration property"),
    ],
)
def test_a_mistake_is_a_sentence_of_build(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        plan_of(source(**arguments))
    assert said in str(raised.value)


def test_all_mistakes_are_reported_together() -> None:
    assert len([*source([], start="x", stop_at="y").mistakes()]) == 3


@pytest.mark.parametrize(
    ("topics", "identity"),
    [
        ("orders", "kafka topic orders"),
        (["b", "a"], "kafka topics a, b"),
        ({"a", "c", "b"}, "kafka topics a, b, c"),
        (["orders"], "kafka topic orders"),
        (re.compile(r"o.*"), "kafka topics o.*"),
    ],
)
def test_positions_depend_on_the_topics_alone(topics: Any, identity: str) -> None:
    made = source(topics, options={"sasl.password": "hunter2"}, key="utf-8")
    assert made.identity() == identity
    plan = str(plan_of(made))
    assert "hunter2" not in plan + repr(made) + plan_of(made).pipelines[0].source.identity()


def test_a_password_from_the_environment_is_no_mistake_where_it_is_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    options = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "tests",
        "sasl.password": "${env:KAFKA_PASSWORD}",
        "ssl.ca.location": "${env:KAFKA_CA}",
    }
    plan = str(plan_of(source(options=options)))
    assert "KAFKA_PASSWORD" not in plan
    with pytest.raises(wallaroo.WallarooParameterError, match="No such configuration property"):
        plan_of(source(options={**options, "sasl.passphrase": "x"}))


def test_the_module_is_imported_without_the_client_library() -> None:
    code = (
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from wallaroo_connectors.kafka import KafkaSourceConfig\n"
        "print(*KafkaSourceConfig('t', 'b:1', str).mistakes())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "wallaroo-streams[kafka]"' in ended.stdout


def test_without_the_client_library_build_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        plan_of(source())
    assert 'pip install "wallaroo-streams[kafka]"' in str(raised.value)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (3, "create the topic, or correct topics= and bootstrap="),
        (29, "allow this user to READ and DESCRIBE the topic orders"),
        (31, "allow this user to DESCRIBE the cluster"),
        (58, "check sasl.username, sasl.password and sasl.mechanisms in options"),
    ],
)
def test_an_error_that_cannot_get_better_says_what_to_do(code: int, hint: str) -> None:
    options = ClientOptions("b1:9092", {"sasl.password": "hunter2"}, None, {})
    error = error_of(KafkaError(code, "refused hunter2"), options, "orders")
    assert isinstance(error, wallaroo.SourceError)
    assert (error.what, error.hint) == ("refused *** (topic 'orders')", hint)


def test_an_error_that_may_pass_is_one_to_try_again() -> None:
    error = error_of(KafkaError(-195, "no way"), ClientOptions("b", None, None, {}))
    assert isinstance(error, ConnectionError)
    assert str(error) == "no way (_TRANSPORT)"


def test_the_reason_for_a_failed_connection_is_the_last_one_that_the_client_gave() -> None:
    options = ClientOptions("b", {"sasl.password": "hunter2"}, None, {})
    said = [KafkaError(-195, "refused"), KafkaError(-195, "no hunter2"), KafkaError(-187, "1/1")]
    assert reason_of(said, options) == "no ***"
    assert reason_of(said[2:], options) == ""


def test_a_topic_that_is_not_known_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "UNKNOWN_PAUSE_S", 0.0)
    cluster = client.Cluster(ClientOptions("127.0.0.1:1", None, None, {}))
    answers = [3]

    def question(_: Any) -> int:
        if len(answers) < 3:
            answers.append(3)
            raise KafkaException(KafkaError(3, "unknown"))
        return 7

    assert cluster._ask(question, "orders") == 7
    answers.clear()
    monkeypatch.setattr(client, "UNKNOWN_FOR_S", -1.0)
    with pytest.raises(wallaroo.SourceError, match="unknown"):
        cluster._ask(question, "orders")


@pytest.mark.parametrize(
    "ask",
    [
        lambda cluster: cluster.topic_id("orders"),
        lambda cluster: cluster.partition_count("orders"),
        lambda cluster: cluster.offset("orders", 0, "latest", "read_committed"),
    ],
)
def test_while_brokers_are_away_an_error_says_why(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[client.Cluster], Any]
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.3)
    cluster = client.Cluster(ClientOptions("127.0.0.1:1", None, None, {}))
    with pytest.raises(ConnectionError, match=r"127.0.0.1:1.*refused"):
        ask(cluster)


def test_a_client_that_does_not_answer_is_reported() -> None:
    cluster = client.Cluster(ClientOptions("127.0.0.1:1", None, None, {}))

    def question(_: Any) -> int:
        raise TimeoutError

    with pytest.raises(ConnectionError, match=r"has not answered .*: ."):
        cluster._ask(question)


def test_the_group_and_the_name_of_the_client_follow_those_who_read() -> None:
    made = source()
    made.read_by("shop", "orders in", "w2")
    assert (made._group, made._client_id) == ("wallaroo.shop", "wallaroo-shop-orders in-w2")
    own = source(group="lag", name="eu")
    own.read_by("shop", "orders in", "w2")
    assert (own._group, own._client_id) == ("lag", "wallaroo-shop-eu-w2")


def test_messages_have_their_timestamps_or_a_time_inside_or_that_of_their_arrival() -> None:
    @wallaroo.timestamp("ms")
    def at(record: bytes) -> int:
        return int(record)

    (by_message,) = plan_of(source(time=wallaroo.event_time(wallaroo.source_time))).pipelines
    (by_record,) = plan_of(source(time=wallaroo.event_time(at))).pipelines
    (by_arrival,) = plan_of(source()).pipelines
    assert (by_message.gives_times, by_record.reads_time_in_records) == (True, True)
    assert by_arrival.time is None
