"""Starts a broker, writes orders, sums them on 3 workers, and checks the totals of each user.

One worker is killed in between. ``kafka_brokers.py`` says where the broker comes from.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

# They are beside this file, as the application is.
from expected import totals_of  # type: ignore[attr-defined]
from kafka_brokers import (  # type: ignore[import-not-found]
    NoBrokerError,
    start_broker,
)
from make_orders import (  # type: ignore[import-not-found]
    create_topic,
    orders_of,
    produce,
)

HERE = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).parent / "wallaroo-run"
WORK_S = 90.0
READ_S = 30.0


class DemoError(Exception):
    """The demo cannot go on, or its result is wrong."""


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wait_until(aim: str, is_so: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    give_up_s = time.monotonic() + WORK_S
    while not is_so():
        if process.poll() is not None:
            raise DemoError(f"wallaroo-run ended with exit status {process.returncode}.")
        if time.monotonic() > give_up_s:
            raise DemoError(f"{aim}: not after {WORK_S:.0f} seconds.")
        time.sleep(0.2)


def totals_in(brokers: str, topic: str) -> list[dict[str, object]]:
    """Return all committed totals, those of each user in order."""
    options = {"group.id": "demo", "enable.partition.eof": True, "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": brokers, **options})
    totals: list[dict[str, object]] = []
    try:
        found = consumer.list_topics(topic, timeout=READ_S).topics[topic]
        left = {*found.partitions} if found.error is None else set()
        consumer.assign([TopicPartition(topic, number, 0) for number in left])
        give_up_s = time.monotonic() + READ_S
        while left:
            message = consumer.poll(1)
            if time.monotonic() > give_up_s:
                raise DemoError("The totals cannot be read to their end.")
            if message is None:
                continue
            error = message.error()
            if error is None:
                totals.append(json.loads(message.value() or b"{}"))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition() or 0)
            else:
                raise KafkaException(error)
    finally:
        consumer.close()
    return totals


class Demo:
    """One run over topics of its own: a broker that ran before may have others."""

    def __init__(self, folder: Path, brokers: str, count: int) -> None:
        self.folder = folder
        self.brokers = brokers
        suffix = uuid.uuid4().hex[:6]
        self.orders, self.totals = f"orders-{suffix}", f"totals-{suffix}"
        self.content: list[dict[str, object]] = orders_of(count, seed=1)
        self.log = folder / "wallaroo-run.log"

    def run(self) -> None:
        """Write the orders in two halves, and sum them on 3 workers, of which one is killed."""
        create_topic(self.brokers, self.orders)
        half = len(self.content) // 2
        produce(self.brokers, self.orders, self.content[:half])
        ready = self.folder / "ready.json"
        process = self._start(ready)
        try:
            wait_until("The first half is summed", lambda: self._has(half), process)
            worker = json.loads(ready.read_text())["workers"][1]
            say(f"$ kill -9 {worker['pid']}    # worker {worker['name']}")
            os.kill(worker["pid"], signal.SIGKILL)
            produce(self.brokers, self.orders, self.content[half:])
            wait_until("All orders are summed", lambda: self._has(len(self.content)), process)
            process.send_signal(signal.SIGINT)
            if process.wait(WORK_S) != 0:
                raise DemoError(f"wallaroo-run ended with exit status {process.returncode}.")
        except BaseException:
            say(self.log.read_text(errors="replace")[-4000:])
            raise
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _start(self, ready: Path) -> "subprocess.Popen[bytes]":
        line = [
            *("--application-module", "kafka_totals", "--brokers", self.brokers),
            *("--orders", self.orders, "--totals", self.totals, "--workers", "3"),
            *("--resilience-dir", str(self.folder / "checkpoints")),
            *("--checkpoint-interval", "0.2"),
        ]
        say("$ wallaroo-run " + " ".join(line))
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(COMMAND), *line, "--ready-file", str(ready), "--no-dashboard"],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _has(self, count: int) -> bool:
        return len(totals_in(self.brokers, self.totals)) >= count


def check(orders: list[dict[str, object]], totals: list[dict[str, object]]) -> None:
    """Compare all totals with what the orders come to, one by one."""
    expected = totals_of(orders)
    for user in sorted({str(order["user"]) for order in orders}):
        wanted = [total for total in expected if total["user"] == user]
        own = [total for total in totals if total["user"] == user]
        if own != wanted:
            raise DemoError(
                f"The {len(own)} totals of {user} are not those of {len(wanted)} orders."
            )
        say(f"  {user:5} {len(own):6,} orders {int(str(own[-1]['cents'])) / 100:12,.2f}")


def run(folder: Path, count: int) -> None:
    found = start_broker(folder)
    try:
        say(f"The broker is {found.what}, at {found.bootstrap}.")
        if found.lacks:
            say(f"Unlike Kafka: {found.lacks}.")
        demo = Demo(folder, found.bootstrap, count)
        demo.run()
        check(demo.content, totals_in(demo.brokers, demo.totals))
        say(f"All {count:,} totals are there, each once and in order.")
    finally:
        found.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="orders, by default 10,000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kafka-totals-") as folder:
        try:
            run(Path(folder), options.count)
        except (DemoError, NoBrokerError) as error:
            say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
