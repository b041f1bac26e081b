"""Each step by itself."""

import json

import kafka_totals
import make_orders

from wallaroo_connectors.kafka import KafkaRecord


def test_a_total_follows_each_order():
    total = kafka_totals.Total()
    assert kafka_totals.add({"user": "ada", "cents": 250}, total) == (
        {"user": "ada", "orders": 1, "cents": 250},
        True,
    )
    result, _ = kafka_totals.add({"user": "ada", "cents": 50}, total)
    assert result == {"user": "ada", "orders": 2, "cents": 300}


def test_a_total_has_its_user_as_its_key():
    record = kafka_totals.encode({"user": "ada", "orders": 1, "cents": 250})
    assert type(record) is KafkaRecord
    assert record.key == "ada"
    assert json.loads(record.value) == {"user": "ada", "orders": 1, "cents": 250}


def test_the_same_seed_gives_the_same_orders():
    assert make_orders.orders_of(5, seed=1) == make_orders.orders_of(5, seed=1)
    assert make_orders.orders_of(5, seed=1) != make_orders.orders_of(5, seed=2)


def test_the_application_is_put_together_without_a_mistake():
    assert kafka_totals.application_setup(["--brokers", "127.0.0.1:9092"])
