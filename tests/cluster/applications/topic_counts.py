"""Counts the messages of a topic by key, into the file ``out``.

A value is ``KEY NUMBER``; the numbers of a key count from 0. Arguments: the topic, the brokers,
and a JSON object with arguments for the source. ``"by_key"`` in it partitions the state by the
keys of messages; with ``"is_slow"`` messages take their time while there is a file ``slow``.
"""

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import wallaroo
from shared_codecs import encode_text
from wallaroo_connectors.kafka import KafkaSourceConfig

SLOW = Path("slow")


@wallaroo.partition
def key_of(record: tuple[str, int]) -> str:
    return record[0]


@wallaroo.state_computation("count")
def count(record: tuple[str, int], seen: list[int]) -> tuple[str, bool]:
    key, number = record
    seen.append(number)
    # Out of order within a key, or twice: a line that nobody expects.
    return f"{key} {len(seen) if number == len(seen) - 1 else seen}", True


def application_setup(args: list[str]) -> wallaroo.Application:
    topic, bootstrap, given, *_ = args[1:]
    arguments: dict[str, Any] = json.loads(given)
    by_key = arguments.pop("by_key", False)
    is_slow = arguments.pop("is_slow", False)

    def decode(payload: bytes) -> tuple[str, int]:
        key, text = payload.decode().split()
        if is_slow and SLOW.exists():
            time.sleep(0.02)
        return key, int(text)

    if "pattern" in arguments:
        topic = re.compile(arguments.pop("pattern"))  # type: ignore[assignment]
    if "discovery_s" in arguments:
        arguments["discovery"] = timedelta(seconds=arguments.pop("discovery_s"))
    if by_key:
        arguments["key"] = "utf-8"
    source = KafkaSourceConfig(topic, bootstrap, decode, **arguments)
    return (
        wallaroo.ApplicationBuilder("topic counts")
        .new_pipeline("messages", source)
        .to_state_partition(count, list, "seen", wallaroo.source_key if by_key else key_of)
        .to_sink(wallaroo.FileSinkConfig("out", encode_text))
        .build()
    )
