"""Sums orders per user, from one topic of Kafka to another: each order once, whatever fails."""

import argparse
import json
from typing import Any

import wallaroo
from wallaroo_connectors.kafka import KafkaRecord, KafkaSinkConfig, KafkaSourceConfig, KafkaTopic


class Total:
    """What one user has ordered."""

    def __init__(self) -> None:
        self.cents = 0
        self.order_count = 0


@wallaroo.state_computation("add order")
def add(order: dict[str, Any], total: Total) -> tuple[dict[str, Any], bool]:
    total.cents += order["cents"]
    total.order_count += 1
    return {"user": order["user"], "orders": total.order_count, "cents": total.cents}, True


@wallaroo.encoder
def encode(total: dict[str, Any]) -> KafkaRecord:
    return KafkaRecord(json.dumps(total), key=total["user"])


def application_setup(args: list[str]) -> wallaroo.Application:
    parser = argparse.ArgumentParser()
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--orders", default="orders", help="the topic to read")
    parser.add_argument("--totals", default="totals", help="the topic to write, created if needed")
    options, _ = parser.parse_known_args(args)
    orders = KafkaSourceConfig(options.orders, options.brokers, json.loads, key="utf-8")
    totals = KafkaSinkConfig(
        options.totals,
        options.brokers,
        encode,
        delivery="exactly_once",
        create_topic=KafkaTopic(partitions=4),
    )
    return (
        wallaroo.ApplicationBuilder("kafka totals")
        .new_pipeline("orders", orders)
        .to_state_partition(add, Total, "totals", wallaroo.source_key)
        .to_sink(totals)
        .build()
    )
