"""What the external channel sees of a cluster, by way of requests that are answered here."""

from typing import Any

from tests.wallaroo.operators.mesh import tcp_sink
from tests.workers.counting import counting
from wallaroo.topology.plan import Application
from wallaroo_workers.external.view import RequestView


def plan() -> Application:
    return counting().to_sink(tcp_sink()).build()


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
