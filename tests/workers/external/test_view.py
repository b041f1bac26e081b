"""What the external channel sees of a cluster, by way of requests that are answered here."""

from typing import Any

import wallaroo
from wallaroo.topology.plan import Plan
from wallaroo_workers.external.view import RequestView


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def same(record: str) -> str:
    return record


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[str, bool]:
    return record, True


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


def plan() -> Plan:
    builder = wallaroo.ApplicationBuilder("letters")
    builder.new_pipeline("letters", wallaroo.TCPSourceConfig("127.0.0.1", "7010", decode))
    builder.to_state_partition(count, dict, "counts", same)
    return builder.to_sink(wallaroo.TCPSinkConfig("127.0.0.1", "7002", encode)).build()


async def test_keys_come_page_by_page_and_as_the_original_shows_them() -> None:
    pages: list[dict[str, Any]] = [
        {"keys": [{"type": "str", "key": "a b"}, {"type": "json", "key": '"two\\nlines"'}],
         "problems": {}, "next": {"worker": "w1", "first": 2}},
        {"keys": [{"type": "json", "key": '["eu", 7]'}], "problems": {}, "next": None},
    ]  # fmt: skip
    asked: list[dict[str, Any]] = []

    async def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert method == "keys"
        asked.append(params)
        return pages[len(asked) - 1]

    view = RequestView("w1", plan(), ask, lambda: None)
    assert await view.keys() == {"counts": ["a b", "two\nlines", '["eu", 7]']}
    assert [each["after"] for each in asked] == [{}, {"worker": "w1", "first": 2}]
