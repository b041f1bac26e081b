"""What a test may send to a source of its cluster."""

from typing import Any

import pytest

from wallaroo.errors import ConfigError
from wallaroo_workers.embedded.tested_cluster import payloads_of


def test_a_list_of_payloads_is_sent() -> None:
    assert payloads_of(iter(["a", b"b"]), "in") == ["a", b"b"]


@pytest.mark.parametrize(
    ("items", "what"),
    [("abc", "a str instead of a list"), (b"abc", "instead of a list"), ([{}], "among its items")],
)
def test_anything_else_is_refused(items: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"to source 'in' is given .*{what}"):
        payloads_of(items, "in")
