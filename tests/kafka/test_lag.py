"""How far a Kafka source is behind: what the runner says of it, and what tools see of the group."""

import asyncio
import os
import signal
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.kafka.broker import Broker, run_tool
from tests.kafka.sources_read import initial, numbered, seen, source_of
from tests.workers.source_runner import running
from wallaroo_connectors.kafka import ends as ends_module
from wallaroo_workers.sources import author_notices

pytestmark = pytest.mark.kafka

OFTEN_S = 0.05


@pytest.fixture
def ends_are_noted_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(author_notices, "ENDS_EVERY_S", OFTEN_S)


@pytest.fixture
def ends_are_asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends_module, "ASKED_EVERY_S", OFTEN_S)
    monkeypatch.setattr(author_notices, "ENDS_EVERY_S", OFTEN_S)


# Of a consumer group


async def test_offsets_of_a_checkpoint_are_committed_for_lag_monitors(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 10) + numbered(topic, 4, 1))
    source = source_of(kafka, topic)
    source.read_by("app", "orders", "w1")
    splits = initial(topic, 0, 1)
    async with running(source, splits) as played:
        await played.until(lambda: len(played.records) == 14)
        played.runner.committed(played.runner.positions())
    assert committed(kafka, "wallaroo.app", topic, 2) == [10, 4]
    assert (
        source_of(kafka, topic, start="committed", group="wallaroo.app").start(f"{topic}-1")[0] == 4
    )


async def test_offsets_of_partitions_that_have_ended_are_committed_too(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 10) + numbered(topic, 4, 1))
    source = source_of(kafka, topic, stop_at="now")
    source.read_by("ended", "orders", "w1")
    async with running(source, initial(topic, 0, 1)) as played:
        await played.until_ended(f"{topic}-0", f"{topic}-1")
        played.runner.committed(played.runner.positions())
    assert committed(kafka, "wallaroo.ended", topic, 2) == [10, 4]


async def test_kafkas_own_tool_shows_the_lag_of_the_group(kafka: Broker) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, numbered(topic, 10) + numbered(topic, 4, 1))
    source = source_of(kafka, topic, group=f"lag-of-{topic}")
    splits = initial(topic, 0, 1)
    async with running(source, splits) as played:
        await played.until(lambda: len(played.records) == 14)
        played.runner.committed(played.runner.positions())
    kafka.produce(topic, numbered(topic, 13, start=10))
    shown = await asyncio.to_thread(lags_by_tool, kafka, f"lag-of-{topic}")
    assert shown == {(topic, "0"): ("10", "13", "3"), (topic, "1"): ("4", "4", "0")}


def lags_by_tool(kafka: Broker, group: str) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Return offset, end and lag by topic and partition, as ``kafka-consumer-groups.sh`` says."""
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    shown = run_tool(tool, "--bootstrap-server", kafka.bootstrap, "--describe", "--group", group)
    rows = [line.split() for line in shown.splitlines() if line.startswith(group)]
    return {(row[1], row[2]): (row[3], row[4], row[5]) for row in rows}


def committed(kafka: Broker, group: str, topic: str, count: int) -> list[int]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    try:
        places = [TopicPartition(topic, number) for number in range(count)]
        return [each.offset for each in consumer.committed(places, timeout=10)]
    finally:
        consumer.close()


# Of the runner


@pytest.mark.usefixtures("ends_are_noted_often")
async def test_the_lag_is_known_by_partition(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 100))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 100)
        [split] = played.runner._splits.all.values()
        assert split.time is not None
        assert abs(time.time() - split.time) < 60
        await seen(lambda: played.runner.facts()[0]["end"] == 100)
        split.ends_at(130, "", time.time())
        assert played.runner.facts()[0]["lag"] == 30


@pytest.mark.usefixtures("ends_are_asked_often")
async def test_the_lag_rises_while_the_application_takes_nothing(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 10))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await played.until(lambda: len(played.records) == 10)
        # Nothing is polled, so the client learns nothing from what it fetches.
        played.runner.pause()
        kafka.produce(topic, numbered(topic, 3000, start=10))
        kafka.produce(topic, numbered(topic, 60_000, start=3000))
        await seen(lambda: played.runner.facts()[0]["end"] == 60_000)
        assert played.runner.facts()[0]["lag"] == 60_000 - len(played.records)
        assert len(played.records) < 10_000


@pytest.mark.usefixtures("ends_are_asked_often")
async def test_a_transaction_that_nobody_ends_is_a_lag_with_the_reason(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 5))
    producer = kafka.producer(transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, b"in it", partition=0)
    producer.flush()
    kafka.produce(topic, numbered(topic, 8, start=5))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await seen(lambda: bool(played.runner.facts()[0]["held"]))
        [facts] = played.runner.facts()
        assert facts["held"] == (
            "a transaction that started at offset 5 is open, and 4 messages and markers wait for "
            "its end; kafka-transactions.sh shows and aborts it"
        )
        assert len(played.records) == 5
        assert (facts["position"], facts["end"], facts["lag"]) == (5, 9, 4)
        assert not facts["caught_up"]
        await seen(lambda: played.runner.facts()[0]["lag_s"] > 0)
        producer.abort_transaction()
        await played.until(lambda: len(played.records) == 8)
        await seen(lambda: played.runner.facts()[0]["caught_up"])
        await seen(lambda: played.runner.facts()[0]["lag"] == 0)
        facts = played.runner.facts()[0]
        assert (facts["held"], facts["lag_s"]) == ("", 0.0)


@pytest.mark.usefixtures("ends_are_noted_often")
async def test_brokers_that_say_nothing_leave_the_lag_unknown(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends_module, "SILENT_S", 1.0)
    process = kafka.own()
    topic = kafka.topic()
    kafka.produce(topic, numbered(topic, 5))
    async with running(source_of(kafka, topic), initial(topic, 0)) as played:
        await seen(lambda: played.runner.facts()[0]["lag"] == 0)
        # Its connections stay open, so the client learns of nothing.
        os.kill(process.pid, signal.SIGSTOP)
        try:
            await seen(lambda: "have not said" in played.runner.facts()[0]["held"])
            [facts] = played.runner.facts()
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert (facts["lag"], facts["lag_s"], facts["caught_up"]) == (None, None, False)
        await seen(lambda: played.runner.facts()[0]["lag"] == 0)
        assert played.runner.facts()[0]["lag_s"] == 0.0
