"""Whether a run can work on some nodes: each reason why not is a sentence with the remedy."""

from typing import Any

import pytest

from tests.cli.homes.fake_ray import FakeRay
from wallaroo.errors import ConfigError
from wallaroo_cli.homes.ray_home.preflight import (
    Expected,
    check_capacity,
    check_folders,
    check_nodes,
    nodes_of,
)

EXPECTED = Expected(wallaroo="1.0", python="3.11", outline=["pipeline x", "sink y"])
FINE: dict[str, Any] = {"wallaroo": "1.0", "python": "3.11", "outline": ["pipeline x", "sink y"]}


def test_lost_nodes_are_not_counted() -> None:
    lost = FakeRay.node("n2") | {"Alive": False}
    nodes = nodes_of([FakeRay.node("n1", is_head=True), lost, FakeRay.node("n3", cpus=0)])
    assert [(node.id, node.is_head, node.cpus) for node in nodes] == [
        ("n1", True, 4.0),
        ("n3", False, 0.0),
    ]


def test_strict_spreading_needs_as_many_nodes_as_hosts() -> None:
    nodes = nodes_of([FakeRay.node("n1", cpus=0), FakeRay.node("n2"), FakeRay.node("n3")])
    check_capacity(nodes, 2, 1.0, "strict")
    check_capacity(nodes, 9, 1.0, "spread")
    with pytest.raises(ConfigError, match=r"each of 3 hosts.* but only 2 of 3 nodes have 1 CPUs"):
        check_capacity(nodes, 3, 1.0, "strict")


def test_nodes_that_have_what_is_expected_pass() -> None:
    check_nodes({"a": FINE, "b": FINE}, EXPECTED)


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ({"missing": "No module named 'wallaroo_cli'"}, "node b has no wallaroo-streams"),
        (FINE | {"wallaroo": "0.9"}, "node b has wallaroo-streams 0.9, this machine has 1.0"),
        (FINE | {"python": "3.12"}, "node b has Python 3.12, this machine has 3.11"),
        (
            {"wallaroo": "1.0", "python": "3.11", "mistake": "there is no module 'm'", "hint": ""},
            "node b cannot load the application: there is no module 'm'",
        ),
        (FINE | {"outline": ["pipeline x", "sink z"]}, "node b has another application"),
    ],
)
def test_the_first_node_that_lacks_something_is_named(node: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as raised:
        check_nodes({"a": FINE, "b": node}, EXPECTED)
    assert raised.value.hint


def test_a_folder_that_only_one_node_sees_is_refused() -> None:
    check_folders("a", "", {"a": ["/s"], "b": ["/s"]}, ["/s"])
    with pytest.raises(ConfigError, match="node b does not see what node a writes to /j") as raised:
        check_folders("a", "", {"a": ["/s", "/j"], "b": ["/s"]}, ["/s", "/j"])
    assert "s3://" in raised.value.hint


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"node a cannot write .*: /s: Permission denied"):
        check_folders("a", "/s: Permission denied", {}, ["/s"])
