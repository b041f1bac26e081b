"""The Kafka sink on a real broker: what is written where, and what is refused."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewPartitions

import wallaroo
from tests.cluster.harness import wait_until
from tests.kafka.broker import PASSWORD, USER, Broker, run_tool
from tests.kafka.checked_sinks import row, sink_of
from tests.kafka.topics_read import committed_end, messages_in, values_in
from wallaroo.testing.kit import check_sink
from wallaroo_connectors.kafka import KafkaRecord, KafkaTopic, topics

pytestmark = pytest.mark.kafka

BOTH = pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])


def new_slot() -> str:
    return f"wallaroo.tests.{uuid.uuid4().hex[:12]}.sink0.w1"


class Opened:
    """An open sink of either kind, called as a worker does."""

    def __init__(self, sink: Any, slot: str) -> None:
        self.sink = sink
        self.is_once = isinstance(sink, wallaroo.OnceSink)
        self.number: int | None = None
        """The number of the last batch, before the sink was opened."""
        if self.is_once:
            sink.open(slot)
            self.number = sink.last()
        else:
            sink.open()
        self._next = (self.number or 0) + 1

    def write(self, *records: Any) -> None:
        if self.is_once:
            self.sink.write([*records], self._next)
            self._next += 1
        else:
            self.sink.write([*records])


@contextmanager
def opened(
    kafka: Broker,
    topic: str,
    delivery: str = "exactly_once",
    slot: str | None = None,
    bootstrap: str | None = None,
    **arguments: Any,
) -> Iterator[Opened]:
    sink = sink_of(topic, bootstrap or kafka.bootstrap, delivery, **arguments)
    try:
        yield Opened(sink, slot or new_slot())
    finally:
        sink.close()


# What is written


@BOTH
def test_a_message_has_what_its_record_has(kafka: Broker, delivery: str) -> None:
    topic = kafka.topic(2)
    headers = {"h": "1", "n": None}
    with opened(kafka, topic, delivery) as sink:
        sink.write(
            b"plain",
            ("text", "key", 1),
            KafkaRecord(None, "key", headers, timestamp_ms=1234, partition=1),
        )
    plain, text, tombstone = sorted(
        messages_in(kafka, topic), key=lambda message: (message.key() or b"", message.offset())
    )
    assert (plain.value(), plain.key(), plain.headers()) == (b"plain", None, None)
    assert (text.value(), text.key(), text.partition()) == (b"text", b"key", 1)
    assert (tombstone.value(), tombstone.key(), tombstone.partition()) == (None, b"key", 1)
    assert tombstone.headers() == [("h", b"1"), ("n", None)]
    assert tombstone.timestamp()[1] == 1234


MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Hashes that Java's client computes, as its own tests have them."""


def test_a_key_is_in_the_partition_that_a_client_in_java_chooses(kafka: Broker) -> None:
    topic = kafka.topic(7)
    with opened(kafka, topic, "at_least_once") as sink:
        sink.write(*[(b"v", key) for key in MURMUR2])
    found = {message.key(): message.partition() for message in messages_in(kafka, topic)}
    assert found == {key: (value & 0x7FFFFFFF) % 7 for key, value in MURMUR2.items()}


@pytest.mark.slow
def test_many_keys_are_in_the_partitions_that_the_console_producer_chooses(kafka: Broker) -> None:
    by_java, by_us = kafka.topic(11), kafka.topic(11)
    keys = [f"key {n} {'x' * (n % 7)}" for n in range(300)]
    options = ["--bootstrap-server", kafka.bootstrap, "--topic", by_java]
    for name, value in (("parse.key", "true"), ("key.separator", ":")):
        options += ["--property", f"{name}={value}"]
    lines = "".join(f"{key}:v\n" for key in keys)
    run_tool("org.apache.kafka.tools.ConsoleProducer", *options, given=lines)
    with opened(kafka, by_us) as sink:
        sink.write(*[("v", key) for key in keys])
    ours, java = (
        {message.key(): message.partition() for message in messages_in(kafka, topic)}
        for topic in (by_us, by_java)
    )
    assert len(java) == len(keys)
    assert ours == java


@BOTH
def test_many_records_stay_in_order_for_each_key(kafka: Broker, delivery: str) -> None:
    topic = kafka.topic(3)
    rows = [(b"%d" % n, b"k%d" % (n % 5)) for n in range(20_000)]
    # The queue of the client is shorter than a batch.
    with opened(kafka, topic, delivery, options={"queue.buffering.max.messages": 1_000}) as sink:
        sink.write(*rows[:12_000])
        sink.write(*rows[12_000:])
    found = [(message.value(), message.key()) for message in messages_in(kafka, topic)]
    for key in {key for _, key in rows}:
        assert [each for each in found if each[1] == key] == [e for e in rows if e[1] == key]
    assert len(found) == len(rows)


@pytest.mark.slow
def test_a_sink_that_is_at_least_once_waits_for_a_broker_that_is_away(kafka: Broker) -> None:
    process, topic = kafka.own(), kafka.topic()
    with opened(kafka, topic, "at_least_once") as sink, ThreadPoolExecutor() as thread:
        sink.write(b"before")
        process.kill()
        writing = thread.submit(sink.write, b"meanwhile")
        process.start()
        writing.result(60)
    # The same producer goes on, so nothing is written twice.
    assert values_in(kafka, topic) == [b"before", b"meanwhile"]


# What is refused


@BOTH
def test_a_message_that_is_too_large_is_refused_before_anything_is_written(
    kafka: Broker, delivery: str
) -> None:
    topic = kafka.topic(1, max_message_bytes="2000")
    small = [b"%d" % n * 100 for n in range(100)]
    with opened(kafka, topic, delivery) as sink:
        with pytest.raises(wallaroo.Rejected) as refused:
            sink.write(*small, b"x" * 3_000)
        assert list(refused.value.reasons) == [100]
        assert "raise max.message.bytes of the topic" in refused.value.reasons[100]
        assert values_in(kafka, topic) == []
        # All together are larger than the topic allows, and so would a batch of the client be.
        sink.write(*small)
    assert values_in(kafka, topic) == small


def test_a_topic_may_allow_larger_messages_than_the_client_does_by_default(kafka: Broker) -> None:
    topic = kafka.topic(1, max_message_bytes="3000000")
    with opened(kafka, topic) as sink:
        sink.write(b"x" * 2_500_000)
    assert [len(value) for value in values_in(kafka, topic)] == [2_500_000]


def test_a_partition_may_be_added_while_the_sink_is_open(kafka: Broker) -> None:
    topic = kafka.topic(1)
    with opened(kafka, topic) as sink:
        with pytest.raises(wallaroo.Rejected) as refused:
            sink.write((b"a", None, 1))
        assert refused.value.reasons[0].startswith("there is no partition 1; the topic has 1")
        kafka.admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
        wait_until("it is known", lambda: kafka.partition_count(topic) == 2)
        sink.write((b"a", None, 1))
    assert [(each.value(), each.partition()) for each in messages_in(kafka, topic)] == [(b"a", 1)]


# The topic


def test_a_topic_that_does_not_exist_ends_the_run(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "FOUND_WITHIN_S", 0.3)
    with pytest.raises(wallaroo.SinkError) as raised, opened(kafka, "no-such-topic"):
        pass
    assert "no-such-topic" in raised.value.what
    assert "no-such-topic" not in kafka.admin.list_topics(timeout=10).topics
    assert raised.value.hint == (
        "create the topic, or give create_topic=, or correct topic= and bootstrap="
    )


def test_a_topic_is_created_as_the_sink_says(kafka: Broker) -> None:
    topic = f"wallaroo-tests-{uuid.uuid4().hex[:12]}"
    create = KafkaTopic(3, 1, {"cleanup.policy": "compact"})
    for _ in range(2):
        with opened(kafka, topic, create_topic=create) as sink:
            sink.write(("v", "k"))
    assert kafka.partition_count(topic) == 3
    resource = ConfigResource(ResourceType.TOPIC, topic)
    described = kafka.admin.describe_configs([resource])[resource].result()
    assert described["cleanup.policy"].value == "compact"
    assert len(values_in(kafka, topic)) == 2


def test_a_topic_that_cannot_be_created_ends_the_run(kafka: Broker) -> None:
    create = KafkaTopic(1, 1, {"cleanup": "all"})
    with pytest.raises(wallaroo.SinkError) as raised, opened(kafka, "new", create_topic=create):
        pass
    assert "cleanup" in raised.value.what
    assert raised.value.hint == "correct create_topic="


# Passwords


def test_a_password_comes_from_the_environment(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.topic()
    login = kafka.own().login_bootstrap
    options = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": USER,
        "sasl.password": "${env:KAFKA_PASSWORD}",
    }
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    with opened(kafka, topic, bootstrap=login, options=options) as sink:
        sink.write(b"a")
    assert values_in(kafka, topic) == [b"a"]
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-secret")
    wrong = opened(kafka, topic, bootstrap=login, options=options)
    with pytest.raises(wallaroo.SinkError) as raised, wrong:
        pass
    assert raised.value.hint == "check sasl.username, sasl.password and sasl.mechanisms in options"
    assert "wrong-secret" not in raised.value.what


# Exactly once


def test_the_number_is_in_the_transaction_of_the_messages(kafka: Broker) -> None:
    topic, slot = kafka.topic(2), new_slot()
    with opened(kafka, topic, slot=slot) as sink:
        assert sink.number is None
        sink.write(b"a", b"b")
        sink.write(b"c")
    with opened(kafka, topic, slot=slot) as again:
        assert again.number == 2
    with opened(kafka, topic) as other:
        assert other.number is None
    assert sorted(values_in(kafka, topic)) == [b"a", b"b", b"c"]


def test_opening_a_slot_aborts_what_an_earlier_opener_had_begun_and_excludes_it(
    kafka: Broker,
) -> None:
    topic, slot = kafka.topic(1), new_slot()
    with opened(kafka, topic, slot=slot) as earlier:
        earlier.write(b"a")
        client = earlier.sink._producer.client
        client.begin_transaction()
        client.produce(topic, b"not committed")
        client.flush()
        with opened(kafka, topic, slot=slot) as later:
            assert later.number == 1
            with pytest.raises(Exception, match="fenced"):
                earlier.sink._transact(client.commit_transaction, 10)
            later.write(b"b")
    assert values_in(kafka, topic) == [b"a", b"b"]


def test_a_transaction_that_the_broker_aborted_is_written_again(kafka: Broker) -> None:
    topic, slot = kafka.topic(1), new_slot()
    options = {"transaction.timeout.ms": 1_000}
    with opened(kafka, topic, slot=slot, options=options) as slow:
        client = slow.sink._producer.client
        client.begin_transaction()
        client.produce(topic, b"a")
        client.flush()
        # The marker of the broker that ends the transaction is behind the message.
        wait_until("the broker aborts it", lambda: committed_end(kafka, topic) == 2)
        with pytest.raises(ConnectionError):
            slow.sink._transact(client.commit_transaction, 10)
    with opened(kafka, topic, slot=slot) as sink:
        assert sink.number is None
        sink.write(b"a")
    assert values_in(kafka, topic) == [b"a"]


def test_a_commit_whose_answer_was_lost_is_found_again(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, slot = kafka.topic(1), new_slot()
    with opened(kafka, topic, slot=slot) as sink:
        transact = sink.sink._transact

        def without_answer(step: Any, *given: Any) -> None:
            transact(step, *given)
            if step == sink.sink._producer.client.commit_transaction:
                raise TimeoutError

        monkeypatch.setattr(sink.sink, "_transact", without_answer)
        with pytest.raises(TimeoutError):
            sink.write(b"a")
    with opened(kafka, topic, slot=slot) as again:
        assert again.number == 1
    assert values_in(kafka, topic) == [b"a"]


def test_a_number_is_gone_with_its_topic(kafka: Broker) -> None:
    topic, slot = kafka.topic(1), new_slot()
    with opened(kafka, topic, slot=slot) as sink:
        sink.write(b"a")
    kafka.admin.delete_topics([topic])[topic].result()
    kafka.make(topic)
    with opened(kafka, topic, slot=slot) as again:
        assert again.number is None


def rows_in(kafka: Broker, topic: str) -> list[Any]:
    return [(message.value(), message.key()) for message in messages_in(kafka, topic)]


@pytest.mark.slow
@BOTH
def test_the_sink_keeps_its_promise_if_its_process_is_killed_or_wakes_up(
    kafka: Broker, delivery: str
) -> None:
    topic = kafka.topic()
    make = partial(sink_of, topic, kafka.bootstrap, delivery)
    check_sink(make, partial(rows_in, kafka, topic), record=row)
