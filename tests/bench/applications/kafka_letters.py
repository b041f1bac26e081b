"""Counts of a topic of Kafka as a measured application, with the functions of the alphabet example.

Arguments: ``brokers HOST:PORT``, ``topic NAME``, and ``go FILE``: nothing is read before this file
is there. With ``by-key`` the key of a message is the key of the state. With ``to NAME`` results are
written to that topic, else to the sink of ``--out``; ``exactly-once`` writes them in transactions.
With ``stamped`` a value comes out as it was, through a state, to measure how long that takes.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3] / "examples" / "alphabet"))

import alphabet

import wallaroo
from wallaroo_connectors.kafka import KafkaSinkConfig, KafkaSourceConfig

WAIT_S = 0.02


class Gate(KafkaSourceConfig[Any]):
    """Reads nothing until a file is there."""

    def __init__(self, go: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._go = go

    def reader(self) -> Any:
        return GatedReader(self._go, super().reader())


class GatedReader:
    """Gives its partitions to the reader when the file is there."""

    def __init__(self, go: Path, reader: Any) -> None:
        self._go = go
        self._reader = reader
        self._waiting: dict[str, Any] = {}

    def add(self, partition: str, position: Any) -> None:
        self._waiting[partition] = position

    def remove(self, partition: str) -> None:
        if self._waiting.pop(partition, None) is None:
            self._reader.remove(partition)

    def poll(self, timeout_s: float) -> Iterator[Any]:
        if self._waiting:
            if not self._go.exists():
                time.sleep(WAIT_S)
                return iter(())
            for partition, position in self._waiting.items():
                self._reader.add(partition, position)
            self._waiting.clear()
        given: Iterator[Any] = self._reader.poll(timeout_s)
        return given

    def close(self) -> None:
        self._reader.close()


@wallaroo.state_computation("count")
def count(record: bytes, state: list[None]) -> tuple[bytes, bool]:
    state[:] = [None]
    return record, True


@wallaroo.decoder
def as_it_is(payload: bytes) -> bytes:
    return payload


@wallaroo.encoder
def unchanged(record: bytes) -> bytes:
    return record


def application_setup(args: list[str]) -> Any:
    def after(name: str) -> str:
        return args[args.index(name) + 1]

    is_stamped, brokers = "stamped" in args, after("brokers")
    source = Gate(
        Path(after("go")),
        after("topic"),
        brokers,
        as_it_is if is_stamped else alphabet.decode_votes,
        key="utf-8" if "by-key" in args or is_stamped else None,
    )
    key: Any = wallaroo.source_key if source.key else alphabet.letter_of
    encoder = unchanged if is_stamped else alphabet.encode_votes
    sink: Any
    if "to" in args:
        delivery: Any = "exactly_once" if "exactly-once" in args else "at_least_once"
        sink = KafkaSinkConfig(after("to"), brokers, encoder, delivery=delivery)
    else:
        out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
        sink = wallaroo.TCPSinkConfig(out_host, out_port, encoder)
    builder = wallaroo.ApplicationBuilder("kafka letters").new_pipeline("votes", source)
    if is_stamped:
        builder.to_state_partition(count, list, "counts", key)
    else:
        builder.to_state_partition(alphabet.add_votes, alphabet.TotalVotes, "letter state", key)
    return builder.to_sink(sink).build()
