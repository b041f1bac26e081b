"""Kafka topics in clusters of real processes on a real broker: each message counts once."""

import json
import os
import random
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewPartitions

from tests.cluster.durable import check_output, kill_initializer, wait_checkpoints
from tests.cluster.harness import Cluster, application_options, run_to_end, running, wait_until
from tests.cluster.test_resize import cluster_of
from tests.kafka.broker import PASSWORD, USER, Broker

pytestmark = [pytest.mark.kafka, pytest.mark.cluster]

KEYS = 5


class Counts:
    """Messages in a topic, and the output that they make."""

    def __init__(self, kafka: Broker, folder: Path, partition_count: int, **arguments: Any) -> None:
        self.kafka = kafka
        self.folder = folder
        self.topic = kafka.topic(partition_count)
        self.out = folder / "out"
        self.wanted: Counter[str] = Counter()
        self._arguments = arguments
        self._next: Counter[str] = Counter()

    def change(self, **arguments: Any) -> None:
        """Give the source other arguments from the next run on."""
        self._arguments |= arguments

    @property
    def arguments(self) -> list[str]:
        """What the application gets."""
        return [self.topic, self.kafka.bootstrap, json.dumps(self._arguments)]

    def durable(self, workers: int = 2) -> list[str]:
        kept = ["--resilience-dir", "kept", "--checkpoint-interval", "0.1"]
        return [*self.arguments, "--workers", str(workers), *kept]

    def produce(self, *partitions: int, each: int = 1000) -> None:
        """Write messages for the keys of these partitions."""
        self.kafka.produce(self.topic, [*self._messages(partitions, each)])

    def _messages(self, partitions: tuple[int, ...], each: int) -> Iterator[tuple[int, Any, Any]]:
        for n in range(each):
            for partition in partitions:
                key = f"p{partition}.{n % KEYS}"
                number = self._next[key]
                self._next[key] += 1
                self.wanted[f"{key} {number + 1}"] += 1
                yield partition, key.encode(), f"{key} {number}".encode()

    def wait_all(self) -> None:
        """Wait until the output of all messages is committed."""
        size = sum(len(line) + 1 for line in self.wanted.elements())
        wait_until("all messages are counted", lambda: self.size() >= size)

    def wait_more(self) -> None:
        """Wait until some output is committed after now."""
        size = self.size()
        wait_until("more is counted", lambda: self.size() > size)

    def size(self) -> int:
        return self.out.stat().st_size if self.out.exists() else 0

    def running(self, workers: int = 2) -> Any:
        return running(self.folder, "topic_counts", *self.durable(workers))

    def end(self, cluster: Cluster) -> None:
        """Let it count the rest, stop it, and compare all output."""
        self.wait_all()
        cluster.signal(signal.SIGINT)
        assert cluster.wait_end() == 0
        check_output(self.out, self.wanted)


def test_each_message_counts_once_whichever_process_is_killed(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 3)
    counts.produce(0, 1, 2, each=3000)
    with counts.running() as cluster:
        cluster.wait_ready()
        counts.wait_more()
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        counts.produce(0, 1, 2)
        cluster.wait_ready(epoch=2)
        os.kill(cluster.pid("w1"), signal.SIGKILL)
        counts.produce(0, 1, 2)
        cluster.wait_ready(epoch=3)
        counts.produce(0, 1, 2)
        counts.wait_more()
        kill_initializer(cluster)
    with counts.running(workers=3) as cluster:
        counts.produce(0, 1, 2)
        counts.end(cluster)


def test_partitions_move_when_the_cluster_grows_and_shrinks(kafka: Broker, tmp_path: Path) -> None:
    counts = Counts(kafka, tmp_path, 12, by_key=True)
    all_of_them = range(12)
    with cluster_of(tmp_path, *counts.durable(), module="topic_counts") as cluster:
        counts.produce(*all_of_them, each=300)
        wait_checkpoints(tmp_path / "kept")
        cluster.resize(["w3", "w4"], [])
        counts.produce(*all_of_them, each=300)
        wait_checkpoints(tmp_path / "kept")
        cluster.resize([], ["w1", "w3"])
        counts.produce(*all_of_them, each=300)
        wait_checkpoints(tmp_path / "kept")
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        counts.produce(*all_of_them, each=300)
        counts.end(cluster)


def test_partitions_that_are_added_while_it_runs_are_read_from_their_beginning(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 2, start="latest", discovery_s=0.2)
    with counts.running() as cluster:
        # The application is ready when all first positions are known.
        cluster.wait_ready()
        counts.produce(0, 1)
        kafka.admin.create_partitions([NewPartitions(counts.topic, 3)])[counts.topic].result()
        # Likely before the new partition is discovered.
        counts.produce(2)
        counts.wait_all()
        counts.produce(0, 1, 2)
        counts.end(cluster)


@pytest.mark.slow
def test_a_broker_that_is_away_for_some_seconds_costs_no_message(
    kafka: Broker, tmp_path: Path
) -> None:
    process = kafka.own()
    counts = Counts(kafka, tmp_path, 3)
    counts.produce(0, 1, 2)
    with counts.running() as cluster:
        counts.wait_more()
        process.kill()
        cluster.wait_event("source.waiting")
        process.start()
        counts.produce(0, 1, 2)
        counts.end(cluster)
        assert cluster.events("worker.lost") == []


@pytest.mark.slow
def test_a_run_that_starts_while_the_brokers_are_away_waits_for_them(
    kafka: Broker, tmp_path: Path
) -> None:
    process = kafka.own()
    counts = Counts(kafka, tmp_path, 2)
    counts.produce(0, 1)
    process.kill()
    with counts.running() as cluster:
        waiting = cluster.wait_event("source.waiting")
        assert "KafkaSourceConfig.partitions" in waiting["method"]
        assert not cluster.ready_path.exists()
        process.start()
        cluster.wait_ready()
        counts.end(cluster)


def test_messages_that_retention_deleted_end_the_run_and_are_not_skipped(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 1)
    counts.produce(0)
    with counts.running() as cluster:
        counts.end(cluster)
    lines = counts.out.read_bytes()
    counts.produce(0)
    place = TopicPartition(counts.topic, 0, 1500)
    kafka.admin.delete_records([place])[place].result()
    ended = run_to_end(tmp_path, *application_options("topic_counts"), *counts.durable())
    assert ended.returncode == 1
    name = f"partition {counts.topic}-0 cannot be read on at offset 1000"
    assert name in ended.stderr
    assert 'give on_out_of_range="earliest" or "latest"' in ended.stderr
    assert counts.out.read_bytes() == lines


def test_a_batch_run_ends_by_itself_also_after_a_kill(kafka: Broker, tmp_path: Path) -> None:
    counts = Counts(kafka, tmp_path, 4, stop_at="now", is_slow=True)
    slow = tmp_path / "slow"
    slow.touch()
    counts.produce(*range(4), each=2500)
    with counts.running() as cluster:
        cluster.wait_ready()
        wait_checkpoints(tmp_path / "kept")
        wanted = counts.wanted.copy()
        # Not a part of this run, whose end is known by now.
        counts.produce(*range(4), each=100)
        os.kill(cluster.pid("w1"), signal.SIGKILL)
        slow.unlink()
        assert cluster.wait_end() == 0
    check_output(counts.out, wanted)


def test_a_batch_run_each_night_goes_on_where_its_group_is(kafka: Broker, tmp_path: Path) -> None:
    group = f"nights-of-{tmp_path.name}"
    counts = Counts(kafka, tmp_path, 2, start="committed", stop_at="now", group=group)
    for night, message_count in enumerate((300, 200, 0)):
        counts.produce(0, 1, each=message_count)
        folder = tmp_path / f"night-{night}"
        folder.mkdir()
        ended = run_to_end(folder, *application_options("topic_counts"), *counts.durable())
        assert ended.returncode == 0, ended.stderr
        out = folder / "out"
        lines = out.read_text().splitlines() if out.exists() else []
        assert len(lines) == 2 * message_count


def test_a_batch_run_each_night_goes_on_where_the_one_before_has_ended(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 2, stop_at="now")
    for message_count in (300, 200, 0):
        counts.produce(0, 1, each=message_count)
        ended = run_to_end(tmp_path, *application_options("topic_counts"), *counts.durable())
        assert ended.returncode == 0, ended.stderr
        check_output(counts.out, counts.wanted)


def test_a_run_without_an_end_goes_on_where_a_batch_run_has_ended_and_back(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 2)
    for message_count in (300, 100):
        counts.change(stop_at="now")
        counts.produce(0, 1, each=message_count)
        ended = run_to_end(tmp_path, *application_options("topic_counts"), *counts.durable())
        assert ended.returncode == 0, ended.stderr
        check_output(counts.out, counts.wanted)
        counts.change(stop_at=None)
        with counts.running() as cluster:
            counts.produce(0, 1, each=200)
            counts.end(cluster)


def test_keys_of_messages_partition_a_state_without_decoding(kafka: Broker, tmp_path: Path) -> None:
    counts = Counts(kafka, tmp_path, 3, by_key=True, stop_at="now")
    counts.produce(0, 1, 2)
    options = [*counts.arguments, "--workers", "3"]
    ended = run_to_end(tmp_path, *application_options("topic_counts"), *options)
    assert ended.returncode == 0, ended.stderr
    check_output(counts.out, counts.wanted)


@pytest.mark.slow
def test_random_kills_lose_and_repeat_nothing(kafka: Broker, tmp_path: Path) -> None:
    chance = random.Random(7)
    counts = Counts(kafka, tmp_path, 6, by_key=True)
    with counts.running(workers=3) as cluster:
        for epoch in range(1, 6):
            cluster.wait_ready(epoch)
            counts.produce(*range(6), each=500)
            counts.wait_more()
            os.kill(cluster.pid(chance.choice(["w1", "w2", "w3"])), signal.SIGKILL)
        cluster.wait_ready(6)
        counts.end(cluster)


def test_an_option_that_is_wrong_is_a_mistake_of_the_application(
    kafka: Broker, tmp_path: Path
) -> None:
    counts = Counts(kafka, tmp_path, 1, options={"group.id": "mine"}, start="first")
    command = [*application_options("topic_counts"), *counts.arguments]
    ended = run_to_end(tmp_path, *command)
    assert ended.returncode != 0
    assert 'option "group.id" is set by this connector; give group= instead' in ended.stderr
    assert "start is 'first'; give 'earliest', 'latest', 'committed'" in ended.stderr


def test_a_password_works_and_is_nowhere_to_be_seen(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TESTS_PASSWORD", PASSWORD)
    options = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": USER,
        "sasl.password": "${env:KAFKA_TESTS_PASSWORD}",
    }
    counts = Counts(kafka, tmp_path, 2, options=options)
    arguments = [counts.topic, kafka.own().login_bootstrap, *counts.durable()[2:]]
    plan = run_to_end(tmp_path, *application_options("topic_counts"), *arguments, "--plan")
    assert plan.returncode == 0, plan.stderr
    assert counts.topic in plan.stdout
    page = ["--dashboard", "127.0.0.1:0", "--log-level", "debug"]
    with running(tmp_path, "topic_counts", *arguments, *page) as cluster:
        cluster.wait_ready()
        counts.produce(0, 1)
        counts.wait_all()
        wait_checkpoints(tmp_path / "kept")
        shown = get(f"{cluster.wait_event('dashboard.listening')['url']}api/snapshot")
        assert counts.topic in shown
        assert cluster.stop() == 0
        log = json.dumps(cluster.log) + "\n".join(cluster.errors)
    check_output(counts.out, counts.wanted)
    assert "application.ready" in log
    # The name of the topic is in a manifest, so these files are not hidden from the search.
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(counts.topic.encode() in content for content in files)
    assert not [content for content in files if PASSWORD.encode() in content]
    assert PASSWORD not in plan.stdout + plan.stderr + shown + log


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text
