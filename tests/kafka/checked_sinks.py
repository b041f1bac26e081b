"""Sinks that `check_sink` makes in processes of its own: the makers are functions of a module."""

from typing import Any

from wallaroo_connectors.kafka import KafkaSinkConfig


def sink_of(topic: str, bootstrap: str, delivery: Any = "exactly_once", **arguments: Any) -> Any:
    """Return what the runtime calls of this sink."""
    return KafkaSinkConfig(topic, bootstrap, None, delivery=delivery, **arguments).sink().sink


def row(number: int) -> tuple[bytes, bytes]:
    """One row: value and key."""
    return b"value %d" % number, b"key"
