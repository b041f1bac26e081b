"""Sums orders by user, from a topic with Avro to a topic with Avro.

Arguments: the topic of orders, that of totals, the brokers, and the URL of the schema registry.
"""

from dataclasses import asdict, dataclass
from typing import Any

import wallaroo
from wallaroo_connectors.kafka import (
    AvroDecoder,
    AvroEncoder,
    KafkaSinkConfig,
    KafkaSourceConfig,
    SchemaRegistry,
)

TOTAL = """{"type": "record", "name": "Total", "fields": [
    {"name": "user", "type": "string"}, {"name": "total", "type": "long"}]}"""


@dataclass
class Total:
    user: str
    total: int


@wallaroo.state_computation("sum")
def add(order: dict[str, Any], sums: list[int]) -> tuple[Total, bool]:
    sums.append(order["amount"])
    return Total(order["user"], sum(sums)), True


def user_of(total: Total) -> str:
    return total.user


def application_setup(args: list[str]) -> wallaroo.Application:
    orders, totals, bootstrap, url, *_ = args[1:]
    registry = SchemaRegistry(url)
    source = KafkaSourceConfig(orders, bootstrap, AvroDecoder(registry), key="utf-8", stop_at="now")
    sink = KafkaSinkConfig(
        totals, bootstrap, AvroEncoder(registry, totals, TOTAL, to_dict=asdict, key=user_of)
    )
    return (
        wallaroo.ApplicationBuilder("avro totals")
        .new_pipeline("orders", source)
        .to_state_partition(add, list, "sums", wallaroo.source_key)
        .to_sink(sink)
        .build()
    )
