"""Messages for the application ``topic_chains``, and what its results say of it."""

import hashlib
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewPartitions

from tests.cluster.durable import newest
from tests.cluster.harness import WAIT_S, Cluster, wait_until
from tests.kafka.broker import Broker
from tests.kafka.topics_read import messages_in

KEYS = 5
"""Of each partition."""
PAUSE_S = 0.05
AT_A_TIME = 20
"""Messages of each partition that are produced in a row."""
STORE = "checkpoints"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with the results of all keys."""

    lost: int
    doubled: int
    of_other_states: int
    """They do not follow from the result before."""
    count: int


RIGHT = (0, 0, 0)


class Chains:
    """An input and an output, and a thread that produces until it is stopped."""

    def __init__(
        self, kafka: Broker, folder: Path, partition_count: int = 6, replicas: int = 1
    ) -> None:
        self.kafka = kafka
        self.folder = folder
        self.input = kafka.topic(partition_count, replicas)
        self.output = kafka.topic(4, replicas)
        self.sent: Counter[str] = Counter()
        self._partition_count = partition_count
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def options(self, *more: str, workers: int = 3) -> list[str]:
        """Return what the application is started with."""
        kept = ["--resilience-dir", STORE, "--checkpoint-interval", "0.1"]
        kept += ["--max-restarts", "1000", "--keep-checkpoints", "20"]
        topics = [self.input, self.output, self.kafka.bootstrap]
        return [*topics, "--workers", str(workers), *kept, *more]

    # The input

    def start(self) -> None:
        """Produce from now on."""
        self._thread.start()

    def end(self) -> None:
        """Produce no more; return when all that was produced is written."""
        self._ending.set()
        self._thread.join(2 * WAIT_S)
        assert not self._thread.is_alive()
        assert self._error is None, self._error

    def add_partitions(self, count: int) -> None:
        """Add partitions to the input; they get messages, too."""
        total = self._partition_count + count
        self.kafka.admin.create_partitions([NewPartitions(self.input, total)])[self.input].result()
        wait_until("they are known", lambda: self.kafka.partition_count(self.input) == total)
        self._partition_count = total

    def _produce(self) -> None:
        try:
            producer = self.kafka.producer()
            errors: list[Any] = []
            while not self._ending.wait(PAUSE_S):
                for partition in range(self._partition_count):
                    self._produce_some(producer, partition, errors)
                # Brokers may be away for a while.
                producer.flush(WAIT_S)
                assert [error for error in errors if error is not None] == []
            assert producer.flush(WAIT_S) == 0
        except BaseException as error:
            self._error = error
            raise

    def _produce_some(self, producer: Any, partition: int, errors: list[Any]) -> None:
        for n in range(AT_A_TIME):
            key = f"p{partition}.{n % KEYS}"
            value = b"%d" % self.sent[key]
            while not self._is_queued(producer, partition, key.encode(), value, errors):
                # It does not know the partition yet; asking makes it look.
                producer.list_topics(self.input, timeout=WAIT_S)
            self.sent[key] += 1
            producer.poll(0)

    def _is_queued(
        self, producer: Any, partition: int, key: bytes, value: bytes, errors: list[Any]
    ) -> bool:
        def written(error: Any, _message: Any) -> None:
            errors.append(error)

        try:
            producer.produce(self.input, value, key, partition, on_delivery=written)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
            return False
        return True

    # The output

    def wait_more(self) -> None:
        """Wait for a checkpoint that was not begun before now."""
        store = self.folder / STORE
        wanted = newest(store) + 2
        wait_until("another checkpoint", lambda: newest(store) >= wanted, 2 * WAIT_S)

    def wait_all(self) -> None:
        """Wait until each message has a result that is committed."""
        total = self.sent.total()
        wait_until(
            "all results are there",
            lambda: len(messages_in(self.kafka, self.output)) >= total,
            2 * WAIT_S,
        )

    def verdict(self) -> Verdict:
        """Compare the results with what was sent."""
        found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        for message in messages_in(self.kafka, self.output):
            number, nonce, digest = message.value().decode().split(" ", 2)
            found[message.key().decode()].append((int(number), nonce, digest))
        lost = doubled = others = 0
        for key, count in self.sent.items():
            numbers = Counter(number for number, _, _ in found[key])
            lost += sum(number not in numbers for number in range(1, count + 1))
            doubled += numbers.total() - len(numbers)
            others += sum(number > count for number in numbers) + _breaks(found[key])
        assert found.keys() <= self.sent.keys()
        return Verdict(lost, doubled, others, sum(map(len, found.values())))

    def finish(self, cluster: Cluster) -> None:
        """Let it work on for a moment and produce no more; check all results."""
        self.wait_more()
        self.end()
        self.wait_all()
        assert cluster.stop() == 0
        self.check()

    def check(self) -> None:
        """Each message has one result, in order, and each follows from the one before."""
        verdict = self.verdict()
        assert (verdict.lost, verdict.doubled, verdict.of_other_states) == RIGHT, verdict
        assert verdict.count == self.sent.total()


def _breaks(results: list[tuple[int, str, str]]) -> int:
    """Return how many results do not follow from the one before."""
    count, before = 0, ""
    for _, nonce, digest in results:
        expected = hashlib.blake2b(f"{before} {nonce}".encode(), digest_size=6).hexdigest()
        count += digest != expected
        before = digest
    return count
