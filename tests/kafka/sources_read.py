"""Sources that tests read from a broker, and what is in their topics."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.cluster.harness import wait_until
from tests.kafka.broker import Broker
from tests.workers.source_runner import Played
from wallaroo.checkpoint.split_positions import INITIAL, SplitPosition
from wallaroo_connectors.kafka import KafkaSourceConfig


def decode(payload: bytes) -> bytes:
    return payload


def source_of(kafka: Broker, topics: Any, **options: Any) -> KafkaSourceConfig[bytes]:
    return KafkaSourceConfig(topics, kafka.bootstrap, decode, **options)


def numbered(topic: str, count: int, partition: int = 0, start: int = 0) -> list[Any]:
    return [(partition, b"k%d" % n, b"%d.%d" % (partition, n)) for n in range(start, count)]


def initial(topic: str, *partitions: int) -> dict[str, SplitPosition]:
    return {f"{topic}-{partition}": INITIAL for partition in partitions}


async def seen(is_so: Callable[[], bool]) -> None:
    """Poll this condition, because the runner does not report batches without messages."""
    await asyncio.to_thread(wait_until, "the runner has come so far", is_so)


def offset_of(played: Played, split: str) -> int:
    position = played.runner.positions()[split].position
    return -1 if position is None else int(position[0][0])
