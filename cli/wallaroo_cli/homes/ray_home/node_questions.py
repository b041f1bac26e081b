"""Asks the nodes of Ray, before anything starts, whether a run can work there."""

import os
import secrets
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo.topology.fingerprint import outline
from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.homes.home import HomeRun
from wallaroo_cli.homes.ray_home.node_check import python_version
from wallaroo_cli.homes.ray_home.preflight import Expected, Node, check_folders, check_nodes
from wallaroo_workers.logs import get_logger

log = get_logger()

ANSWER_S = 180.0
"""How long nodes have to answer; Ray may have to install packages first."""
TOKEN_BYTES = 8


def ask_nodes(nodes: Sequence[Node], wanted: HomeRun) -> None:
    """Raise ``ConfigError`` if the run cannot work on one of these nodes."""
    expected = Expected(
        wallaroo=version(DISTRIBUTION),
        python=python_version(),
        outline=list(outline(wanted.plan)),
    )
    check_nodes(_answers(nodes, "look", wanted.module, wanted.arguments), expected)
    store = [wanted.store] if wanted.store and "://" not in wanted.store else []
    journals = [wanted.journals] if wanted.journals and not wanted.allow_lost_input else []
    folders = [*store, *journals]
    if len(nodes) == 1 or not folders:
        return
    token = f".wallaroo-{secrets.token_hex(TOKEN_BYTES)}"
    first = nodes[0]
    (label, why), *_ = _answers([first], "leave_token", folders, token).items()
    try:
        check_folders(label, why, _answers(nodes, "reached", folders, token), folders)
    finally:
        _answers([first], "remove_token", folders, token)


def _answers(nodes: Sequence[Node], question: str, *arguments: object) -> dict[str, Any]:
    """Return what a function of ``node_check`` returns on each node, by the nodes' addresses."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A process that has imported the application is of no use for anything else.
    asking = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(_question(question))
    places = [NodeAffinitySchedulingStrategy(node.id, soft=False) for node in nodes]
    answers = [asking.options(scheduling_strategy=at).remote(*arguments) for at in places]
    try:
        found = ray.get(answers, timeout=ANSWER_S)
    except ray.exceptions.GetTimeoutError as error:
        raise ConfigError(
            f"not all {len(nodes)} nodes of Ray have answered within {ANSWER_S:g} s",
            hint="see `ray status`; packages in --runtime-env may take long the first time: run "
            "the command again",
        ) from error
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(
            f"Ray cannot run anything on its nodes: {reason}",
            hint="check --runtime-env, and `ray status` for nodes that are lost",
        ) from error
    # Several nodes of one machine have one address.
    labels = [f"{node.address} ({node.id[:8]})" for node in nodes]
    return dict(zip(labels, found, strict=True))


def _question(name: str) -> Callable[..., Any]:
    # A function within a function travels as code, so it runs where our package is missing.
    def ask(*arguments: object) -> Any:
        try:
            from wallaroo_cli.homes.ray_home import node_check
        except ImportError as error:
            return {"missing": str(error)}
        return getattr(node_check, name)(*arguments)

    return ask


def warn_if_open() -> None:
    """Warn if clients that reach Ray's ports could read the secrets of its runs."""
    wanted = {"RAY_AUTH_MODE": "token", "RAY_USE_TLS": "1"}
    missing = [f"{name}={value}" for name, value in wanted.items() if os.environ.get(name) != value]
    if missing:
        log.warning(
            "ray.unprotected",
            missing=" and ".join(missing),
            hint="protect Ray's ports by its token and TLS, or by a network that only you use",
            next="the run's secret and key travel over Ray as they are",
        )


def warn_of_letters(agent: Sequence[str]) -> None:
    """Warn if agents with these options keep records that fail in the folder that Ray copies."""
    if not any(each.startswith("--dead-letters=") for each in agent):
        log.warning(
            "dead_letters.temporary",
            hint="give --dead-letters an absolute path on a file system that all nodes share",
            next="records that fail are kept in the copied folder, which Ray deletes after the run",
        )
