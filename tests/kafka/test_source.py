"""The Kafka source on a real broker: what is read, where it starts and ends, and what stops it."""

import asyncio
import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewPartitions

import wallaroo
from tests.kafka.broker import PASSWORD, USER, Broker
from tests.kafka.sources_read import decode, initial, numbered, offset_of, seen, source_of
from tests.workers.source_runner import Played, running, stored
from wallaroo.checkpoint.split_positions import INITIAL, SplitKind, SplitPosition
from wallaroo.connectors.custom import Partitioned
from wallaroo.testing.kit import check_source
from wallaroo_connectors import kafka as connector
from wallaroo_connectors.kafka import KafkaSourceConfig, Message, client
from wallaroo_connectors.kafka import reader as reader_module

pytestmark = pytest.mark.kafka


async def test_all_messages_of_all_partitions_are_read_in_order(kafka: Broker) -> None:
    topic = kafka.topic(3)
    kafka.produce(topic, [each for p in range(3) for each in numbered(topic, 2500, p)])
    source = source_of(kafka, topic)
    assert sorted(source.partitions()) == [f"{topic}-{p}" for p in range(3)]
    async with running(source, initial(topic, 0, 1, 2)) as played:
        played.engine.slice_count = 700
        await played.until(lambda: len(played.records) == 7500)
        for p in range(3):
            start = b"%d." % p
            found = [each for each in played.records if each.startswith(start)]
            assert found == [value for _, _, value in numbered(topic, 2500, p)]
        assert played.intake.is_empty


def test_a_topic_that_does_not_exist_ends_the_run_and_is_not_created(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "UNKNOWN_FOR_S", 0.2)
    with pytest.raises(wallaroo.SourceError) as raised:
        source_of(kafka, "misspelt").partitions()
    assert raised.value.hint == "create the topic, or correct topics= and bootstrap="
    assert "misspelt" not in kafka.admin.list_topics(timeout=10).topics


async def test_a_position_is_exact_at_any_message(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 500))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) > 100)
        played.runner.stop()
        before = [*played.records]
        positions = stored(played.runner.positions())
    assert 100 < len(before) < 500
    [at] = positions.values()
    (offset, epoch, topic_id), skipped = at.position
    assert (offset, epoch, skipped) == (len(before), 0, 0)
    assert topic_id
    async with running(source_of(kafka, topic), positions) as played:
        await played.until(lambda: len(before) + len(played.records) >= 500)
    assert before + played.records == [value for _, _, value in numbered(topic, 500)]


def test_positions_give_the_same_messages_again(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 300) + numbered(topic, 200, 1))
    # Fewer than there are: the end of a partition would only be noticed by its silence.
    check_source(source_of(kafka, topic), record_count_max=200)


async def test_a_split_that_was_removed_and_added_reads_on_where_it_was(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 1000) + numbered(topic, 1000, 1))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) > 50)
        position = played.runner.remove(f"{topic}-0")
        played.runner.add(f"{topic}-1", INITIAL)
        await played.until(lambda: len([r for r in played.records if r[:1] == b"1"]) == 1000)
        played.runner.add(f"{topic}-0", position)
        await played.until(lambda: len(played.records) >= 2000)
        found = [each for each in played.records if each[:1] == b"0"]
        assert found == [value for _, _, value in numbered(topic, 1000)]


async def test_a_message_decoder_gets_the_whole_message(kafka: Broker) -> None:
    topic = kafka.topic()
    producer = kafka.producer()
    producer.produce(topic, b"v", b"k", headers=[("h", b"1"), ("n", None)], timestamp=1234)
    assert producer.flush(30) == 0

    @connector.message_decoder
    def whole(message: Message) -> Message:
        return message

    source: Any = KafkaSourceConfig(topic, kafka.bootstrap, whole)
    async with running(source, initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 1)
    [payload] = played.records
    # It travels as a tuple, and the chain decodes it by this function.
    assert type(payload) is tuple
    decoder = Partitioned(source).decoder
    assert decoder is not None
    expected = Message(b"v", b"k", 1234, [("h", b"1"), ("n", None)], topic, 0, 0)
    assert decoder(payload) == expected
    assert whole(expected) == expected
    assert " at 0x" not in Partitioned(source).identity()


@pytest.mark.parametrize(("tombstones", "records"), [("drop", [b"0.0"]), ("pass", [b"0.0", None])])
async def test_tombstones_are_dropped_or_passed(
    kafka: Broker, tombstones: str, records: list[Any]
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [(0, b"k", b"0.0"), (0, b"k", None)])
    source = source_of(kafka, topic, tombstones=tombstones, key="bytes")
    async with running(source, initial(topic, 0)) as played:
        await seen(lambda: offset_of(played, f"{topic}-0") == 2)
    assert played.records == records


async def test_large_messages_come_in_batches_that_are_small_enough(kafka: Broker) -> None:
    topic = kafka.topic()
    values = [b"%d" % n * 300_000 for n in range(8)]
    kafka.produce(topic, [(0, None, value) for value in values])
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 8)
    assert played.records == values
    assert played.errors == []


# Where it starts


async def test_each_way_to_start_is_resolved_to_an_offset(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 10))
    middle = datetime.now(UTC) + timedelta(seconds=100)
    producer = kafka.producer()
    producer.produce(topic, b"late", partition=0, timestamp=int(middle.timestamp() * 1000) + 1)
    assert producer.flush(30) == 0
    first, second = f"{topic}-0", f"{topic}-1"
    starts: dict[Any, tuple[int, int]] = {
        "earliest": (0, 0),
        "latest": (11, 0),
        "committed": (0, 0),
        middle: (10, 0),
        middle + timedelta(days=1): (11, 0),
    }
    for start, expected in starts.items():
        source = source_of(kafka, topic, start=start, group=topic)
        assert (source.start(first)[0], source.start(second)[0]) == expected, start
    source = source_of(kafka, topic, start={first: 7})
    assert (source.start(first)[0], source.start(second)[0]) == (7, 0)


async def test_a_first_offset_that_the_partition_does_not_have_ends_the_run(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 10))
    split = f"{topic}-0"
    for offset in (0, 10):
        assert source_of(kafka, topic, start={split: offset}).start(split)[0] == offset
    async with running(source_of(kafka, topic, start={split: 11}), initial(topic, 0)) as played:
        said = await played.until_failed()
    assert f"start gives offset 11 to partition {split}, which has 0 to 10" in said
    assert "correct start=" in said
    # A user who chose what to do about offsets that are not there gets that.
    chosen = source_of(kafka, topic, start={split: 11}, on_out_of_range="latest")
    assert chosen.start(split)[0] == 11


async def test_a_first_offset_of_a_partition_that_does_not_exist_is_logged_once(
    kafka: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.topic()
    source = source_of(kafka, topic, start={f"{topic}-7": 11})
    for _ in range(2):
        assert source.partitions() == [f"{topic}-0"]
    [line] = caplog.records
    assert f"start names partition {topic}-7, which does not exist" in line.message


def test_brokers_that_cannot_be_reached_are_named_with_the_reason() -> None:
    source: Any = KafkaSourceConfig("orders", "127.0.0.1:1", decode)
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1.*Connection refused"):
        source.partitions()


async def test_a_pattern_finds_topics_by_their_whole_names(kafka: Broker) -> None:
    topic = kafka.topic()
    other = f"{topic}-other"
    kafka.make(other, 2)
    pattern = re.compile(re.escape(topic) + r"(-other)?")
    source = source_of(kafka, pattern)
    assert source.partitions() == [f"{topic}-0", f"{other}-0", f"{other}-1"]
    kafka.admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
    # A broker learns of it a moment after the controller has answered.
    await seen(lambda: f"{topic}-1" in source.partitions())


# Where it ends


async def test_a_batch_run_ends_at_what_was_there_when_it_started(kafka: Broker) -> None:
    topic = kafka.topic(3)
    kafka.produce(topic, numbered(topic, 10) + numbered(topic, 10, 1))
    producer = kafka.producer(transactional_id=topic)
    producer.init_transactions()
    for commits in (True, False):
        # The last offset of partition 1 is a marker, which is not a message.
        producer.begin_transaction()
        producer.produce(topic, b"1.10" if commits else b"aborted", partition=1)
        if commits:
            producer.commit_transaction()
        else:
            producer.flush()
            producer.abort_transaction()
    source = source_of(kafka, topic, stop_at="now")
    assert Partitioned(source).ends
    async with running(source, {}) as played:
        positions = {
            name: SplitPosition(SplitKind.AT, [source.start(name), 0])
            for name in source.partitions()
        }
        kafka.produce(topic, numbered(topic, 20, 0, start=10))
        for name, position in positions.items():
            played.runner.add(name, position)
        await played.until_ended(*positions)
    assert set(played.runner.ended.values()) == {""}
    expected = [value for _, _, value in numbered(topic, 10) + numbered(topic, 11, 1)]
    assert sorted(played.records) == sorted(expected)


async def test_messages_of_a_transaction_are_read_once_it_is_committed(kafka: Broker) -> None:
    topic = kafka.topic()
    producer = kafka.producer(transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, b"in it", partition=0)
    producer.flush()
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await seen(lambda: played.runner.facts()[0]["caught_up"])
        assert played.records == []
        producer.commit_transaction()
        await played.until(lambda: played.records == [b"in it"])
        # Behind the marker: nothing is left to read.
        await seen(lambda: offset_of(played, f"{topic}-0") == 2)


# What stops it


async def test_messages_that_retention_deleted_stop_the_run(kafka: Broker) -> None:
    topic = lost(kafka)
    position = SplitPosition(SplitKind.AT, [[3, -1, ""], 0])
    async with running(source_of(kafka, topic), {f"{topic}-0": position}) as played:
        said = await played.until_failed()
    assert f"partition {topic}-0 cannot be read on at offset 3" in said
    assert 'give on_out_of_range="earliest" or "latest"' in said
    assert played.records == []


def lost(kafka: Broker) -> str:
    """Return a topic whose messages before offset 6 were deleted."""
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 10))
    place = TopicPartition(topic, 0, 6)
    kafka.admin.delete_records([place])[place].result()
    return topic


@pytest.mark.parametrize(("choice", "expected"), [("earliest", 6), ("latest", 10)])
async def test_a_user_may_choose_to_go_on_without_them(
    kafka: Broker, choice: str, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    topic = lost(kafka)
    position = SplitPosition(SplitKind.AT, [[3, -1, ""], 0])
    source = source_of(kafka, topic, on_out_of_range=choice)
    async with running(source, {f"{topic}-0": position}) as played:
        await seen(lambda: bool(caplog.records))
        kafka.produce(topic, numbered(topic, 12, start=10))
        await seen(lambda: offset_of(played, f"{topic}-0") == 12)
    assert played.records == [value for _, _, value in numbered(topic, 12, start=expected)]
    [line] = [each for each in caplog.records if "has no offset 3 any more" in each.message]
    assert f"it is read on at {expected} ({choice})" in line.message


async def test_a_topic_that_was_deleted_and_made_again_stops_the_run(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 10))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 10)
        positions = stored(played.runner.positions())
    kafka.admin.delete_topics([topic])[topic].result()
    kafka.make(topic)
    kafka.produce(topic, numbered(topic, 20))
    async with running(source_of(kafka, topic), positions) as played:
        said = await played.until_failed()
    assert f"topic {topic!r} is not the one that was read before" in said
    assert played.records == []


async def test_a_topic_that_is_deleted_while_it_is_read_stops_the_run(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "CHECKED_EVERY_S", 0.05)
    topic = kafka.topic()
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await seen(lambda: played.runner.facts()[0]["caught_up"])
        kafka.admin.delete_topics([topic])[topic].result()
        said = await played.until_failed()
    assert f"topic {topic!r}" in said


async def undiscovered(played: Played) -> str:
    """Let the source look for partitions until that ends the run; return why."""
    looking = asyncio.create_task(played.runner.discover())
    said = await played.until_failed()
    looking.cancel()
    return said


async def test_an_unknown_topic_is_an_error_with_the_name_of_the_argument(kafka: Broker) -> None:
    async with running(source_of(kafka, "nobody-made-this"), {}) as played:
        said = await undiscovered(played)
    assert "Unknown topic or partition (topic 'nobody-made-this')" in said
    assert "create the topic, or correct topics= and bootstrap=" in said


def login(kafka: Broker, password: str) -> dict[str, Any]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": USER,
        "sasl.password": password,
    }


async def test_a_password_comes_from_the_environment(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TESTS_PASSWORD", PASSWORD)
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 3))
    source: Any = KafkaSourceConfig(
        topic, kafka.own().login_bootstrap, decode,
        options=login(kafka, "${env:KAFKA_TESTS_PASSWORD}"),
    )  # fmt: skip
    assert source.partitions() == [f"{topic}-0"]
    async with running(source, initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 3)
    shown = repr(source) + Partitioned(source).describe() + Partitioned(source).identity()
    assert PASSWORD not in shown + str(played.runner.positions())


async def test_a_token_comes_from_a_function(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 3))
    asked: list[str] = []

    def token(config: str) -> tuple[str, float]:
        asked.append(config)
        now_s = time.time()
        claims = {"sub": USER, "iat": now_s - 60, "exp": now_s + 600}
        parts = (
            base64.urlsafe_b64encode(json.dumps(each).encode())
            for each in ({"alg": "none"}, claims)
        )
        return ".".join(part.decode().rstrip("=") for part in parts) + ".", now_s + 600

    options: dict[str, Any] = {
        "security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "OAUTHBEARER", "oauth_cb": token,
    }  # fmt: skip
    source: Any = KafkaSourceConfig(topic, kafka.own().login_bootstrap, decode, options=options)
    assert await asyncio.to_thread(source.partitions) == [f"{topic}-0"]
    async with running(source, initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 3)
    assert asked


@pytest.mark.parametrize("protocol", ["ssl", "sasl_ssl"])
async def test_tls_at_a_port_without_tls_is_a_sentence_with_the_remedy(
    kafka: Broker, protocol: str
) -> None:
    options = {**login(kafka, "secret"), "security.protocol": protocol}
    source: Any = KafkaSourceConfig("t", kafka.bootstrap, decode, options=options)
    with pytest.raises(ConnectionError) as raised:
        await asyncio.to_thread(source.partitions)
    assert "check security.protocol and the port in bootstrap=" in str(raised.value)


async def test_a_wrong_password_stops_the_run_and_is_not_shown(kafka: Broker) -> None:
    options = login(kafka, "not-the-password")
    source: Any = KafkaSourceConfig("t", kafka.own().login_bootstrap, decode, options=options)
    async with running(source, {}) as played:
        said = await undiscovered(played)
    assert "uthentication failed" in said
    assert "check sasl.username, sasl.password and sasl.mechanisms in options" in said
    assert "not-the-password" not in said


async def test_a_broker_that_is_restarted_costs_no_message(kafka: Broker) -> None:
    process = kafka.own()
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 50))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 50)
        process.kill()
        await seen(lambda: played.runner.reconnect_count > 0)
        facts = played.runner.facts()[0]
        assert (facts["lag"], facts["lag_s"], facts["caught_up"]) == (None, None, False)
        assert "Connection refused" in facts["held"] or "isconnected" in facts["held"]
        process.start()
        kafka.produce(topic, numbered(topic, 100, start=50))
        await played.until(lambda: len(played.records) >= 100)
        await seen(lambda: played.runner.facts()[0]["lag"] == 0)
        assert played.runner.facts()[0]["held"] == ""
    assert played.records == [value for _, _, value in numbered(topic, 100)]
