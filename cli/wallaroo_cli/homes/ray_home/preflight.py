"""Decides before anything starts whether a run can work on these nodes, and says why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo.topology.fingerprint import difference
from wallaroo_cli.homes.options import Spread


@dataclass(frozen=True, slots=True)
class Node:
    """A node of Ray."""

    id: str
    address: str
    cpus: float
    is_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What each node has to have."""

    wallaroo: str
    python: str
    outline: list[str]


def nodes_of(rows: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return the living nodes among what Ray lists."""
    return [
        Node(
            row["NodeID"],
            row["NodeManagerAddress"],
            row["Resources"].get("CPU", 0.0),
            "node:__internal_head__" in row["Resources"],
        )
        for row in rows
        if row["Alive"]
    ]


def check_capacity(nodes: Sequence[Node], host_count: int, cpus: float, spread: Spread) -> None:
    """Raise ``ConfigError`` if strict spreading is asked of too few nodes."""
    fit = [node for node in nodes if node.cpus >= cpus]
    if spread == "strict" and len(fit) < host_count:
        raise ConfigError(
            f"--spread strict needs a node of its own for each of {host_count} hosts, those in "
            f"reserve included, but only {len(fit)} of {len(nodes)} nodes have {cpus:g} CPUs",
            hint="add nodes, lower --hosts, --standby or --worker-cpus, or give --spread spread",
        )


def check_nodes(found: Mapping[str, Mapping[str, Any]], expected: Expected) -> None:
    """Raise ``ConfigError`` for the first node that a host could not run on.

    ``found`` has by the address of each node what ``node_check.look`` returned there.
    """
    for address, node in found.items():
        _check_releases(address, node, expected)
        if "mistake" in node:
            raise ConfigError(
                f"node {address} cannot load the application: {node['mistake']}",
                hint=node["hint"]
                or "make the code and what it imports available on all nodes, by the application's "
                "folder, --runtime-env or the image",
            )
        if node["outline"] != expected.outline:
            what = difference(expected.outline, node["outline"])
            raise ConfigError(
                f"node {address} has another application than this machine: {what}",
                hint="give all nodes the same code: remove older copies of the module from their "
                "images and from PYTHONPATH",
            )


def check_folders(
    first: str, why: str, reached: Mapping[str, Sequence[str]], folders: Sequence[str]
) -> None:
    """Raise ``ConfigError`` if nodes do not share these folders.

    ``reached`` are those in which each node sees what the ``first`` one has written there; ``why``
    says what prevented that, and is empty if nothing did.
    """
    hint = (
        "give --resilience-dir an s3:// URL, or a folder of a file system that all nodes mount at "
        "the same path; the same holds for --journal-dir"
    )
    if why:
        raise ConfigError(f"node {first} cannot write where checkpoints are to be: {why}", hint)
    for address, seen in reached.items():
        if missing := [each for each in folders if each not in seen]:
            raise ConfigError(
                f"node {address} does not see what node {first} writes to {missing[0]}, so a "
                "worker there could not continue what another began",
                hint,
            )


def _check_releases(address: str, node: Mapping[str, Any], expected: Expected) -> None:
    if "missing" in node:
        raise ConfigError(
            f"node {address} has no wallaroo-streams: {node['missing']}",
            hint="install wallaroo-streams[ray] in the nodes' environment or image, or name it in "
            """--runtime-env, such as '{"pip": ["wallaroo-streams[ray]"]}'""",
        )
    for what, here in (("wallaroo", expected.wallaroo), ("python", expected.python)):
        if node[what] != here:
            name = "wallaroo-streams" if what == "wallaroo" else "Python"
            raise ConfigError(
                f"node {address} has {name} {node[what]}, this machine has {here}",
                hint="use the same release on all nodes and where you start the command",
            )
