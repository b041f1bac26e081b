"""Counts the messages of a topic by key into another topic, and shows each mistake.

A message's value is its number within its key. A result is ``NUMBER NONCE DIGEST``: the nonce is
drawn at random, and the digest is that of the digest before and of this nonce. So results of a
state that was given up do not fit to those that follow, and neither do missing or doubled ones.

``--die POINT`` ends a worker at a point of the sink, ``--die-all POINT`` the initializer, as for
`killed_sinks`. ``--break POINT`` ends the broker, whose process is ``--broker-pid``.
"""

import argparse
import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import wallaroo
from killed_sinks import Killed
from wallaroo_connectors import kafka
from wallaroo_connectors.kafka.producing import TopicProducer
from wallaroo_connectors.kafka.writers import KafkaOnceSink, KafkaSink


class Chain:
    """What a key has come to."""

    def __init__(self) -> None:
        self.count = 0
        self.digest = ""


def digest_of(before: str, nonce: str) -> str:
    return hashlib.blake2b(f"{before} {nonce}".encode(), digest_size=6).hexdigest()


@kafka.message_decoder
def decode(message: kafka.Message) -> tuple[str, int]:
    assert message.key is not None
    assert message.value is not None
    return message.key.decode(), int(message.value)


@wallaroo.state_computation("link")
def link(record: tuple[str, int], chain: Chain) -> tuple[tuple[str, str], bool]:
    key, number = record
    nonce = os.urandom(4).hex()
    # A message that is missing, doubled or out of order breaks the chain.
    fits = number == chain.count
    chain.digest = digest_of(chain.digest, nonce) if fits else f"number {number} came"
    chain.count += 1
    return (f"{chain.count} {nonce} {chain.digest}", key), True


class Points(Killed):
    """Where processes end."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(Path("target").absolute(), options.die, options.die_all)
        self._breaks: list[str] = options.breaks
        self._broker_pid: int = options.broker_pid

    def at(self, point: str) -> None:
        """End a process, if that is wanted here and has not been done before."""
        if point in self._breaks:
            try:
                (self.folder.parent / f"broken-{point}").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(self._broker_pid, signal.SIGKILL)
        super().at(point)


class HalvingProducer(TopicProducer):
    """Stops in the middle of a batch."""

    points: Points

    def write(self, messages: Sequence[Any], go_on: Callable[[bool], None]) -> None:
        half = len(messages) // 2
        super().write(messages[:half], go_on)
        self.points.at("half written")
        super().write(messages[half:], go_on)
        self.points.at("all written")


class MortalSink(KafkaOnceSink):
    """Ends processes at its points."""

    points: Points

    def open(self, slot: str, /) -> None:
        self.points.at("opening again")
        super().open(slot)
        self.points.at("opened again")

    def write(self, records: list[Any], number: int, /) -> None:
        self.points.at("manifest written")
        super().write(records, number)

    def _open_producer(self, **ours: Any) -> TopicProducer:
        producer = super()._open_producer(**ours)
        producer.__class__ = HalvingProducer
        assert isinstance(producer, HalvingProducer)
        producer.points = self.points
        return producer

    def _transact(self, step: Callable[..., Any], *given: Any) -> None:
        super()._transact(step, *given)
        points = {
            "begin_transaction": "begun",
            "send_offsets_to_transaction": "number written",
            "commit_transaction": "committed",
        }
        if (point := points.get(step.__name__)) is not None:
            self.points.at(point)


class MortalSinkConfig(kafka.KafkaSinkConfig):
    """Makes such sinks."""

    points: Points

    def _author(self) -> KafkaSink | KafkaOnceSink:
        author = super()._author()
        if isinstance(author, KafkaOnceSink):
            author.__class__ = MortalSink
            assert isinstance(author, MortalSink)
            author.points = self.points
        return author


def application_setup(args: list[str]) -> wallaroo.Application:
    parser = argparse.ArgumentParser()
    parser.add_argument("topics", nargs=2)
    parser.add_argument("bootstrap")
    parser.add_argument("--delivery", default="exactly_once")
    parser.add_argument("--die", action="append", default=[])
    parser.add_argument("--die-all", action="append", default=[])
    parser.add_argument("--break", dest="breaks", action="append", default=[])
    parser.add_argument("--broker-pid", type=int, default=0)
    options, _ = parser.parse_known_args(args[1:])
    source = kafka.KafkaSourceConfig(
        options.topics[0],
        options.bootstrap,
        decode,
        key="utf-8",
        discovery=timedelta(seconds=1),
    )
    sink = MortalSinkConfig(options.topics[1], options.bootstrap, None, delivery=options.delivery)
    sink.points = Points(options)
    return (
        wallaroo.ApplicationBuilder("topic chains")
        .new_pipeline("messages", source)
        .to_state_partition(link, Chain, "chains", wallaroo.source_key)
        .to_sink(sink)
        .build()
    )
