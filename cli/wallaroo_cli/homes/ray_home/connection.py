"""The connection of a command to Ray."""

import importlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from wallaroo.errors import ConfigError, WallarooError
from wallaroo.statuses import ExitStatus
from wallaroo_cli.homes.ray_home.names import NAMESPACE
from wallaroo_cli.homes.ray_home.place import RayPlace

DIAL_S = 5.0
ADDRESS_VARIABLE = "RAY_ADDRESS"
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for the entrypoint of a job, which has a runtime environment already."""
HINT = (
    "start one with `ray start --head`, set RAY_ADDRESS to one that runs, give ray://HOST:10001, "
    "or give --on ray:new to try it on this machine"
)


class NoRayError(WallarooError):
    """There is no Ray where we looked."""

    exit_code = ExitStatus.NO_CLUSTER


def connect(
    place: RayPlace,
    *,
    runtime_env: dict[str, Any] | None = None,
    cpus: float = 0.0,
    shows_logs: bool = False,
) -> None:
    """Connect to Ray, or start it; ``cpus`` are those that a new one offers at least.

    Raises ``WallarooError`` with the remedy.
    """
    import_checked()
    options: dict[str, Any] = {
        "namespace": NAMESPACE,
        "log_to_driver": shows_logs,
        "logging_level": "ERROR",
    }
    if place.is_new:
        options |= {
            "address": "local",
            "num_cpus": max(os.cpu_count() or 1, int(cpus + 0.999)),
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
    else:
        options["address"] = place.address or os.environ.get(ADDRESS_VARIABLE) or "auto"
        _check_listens(options["address"])
        if runtime_env and JOB_VARIABLE not in os.environ:
            options["runtime_env"] = runtime_env
    _init(options)


def import_checked() -> None:
    """Import Ray. Raises ``ConfigError`` if it is not installed."""
    # These are read when Ray is imported. Each line of a log counts, also if it is like another.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError(
            f"--on ray needs Ray, which cannot be imported: {error}",
            hint="run `pip install 'wallaroo-streams[ray]'`",
        ) from error


def _init(options: dict[str, Any]) -> None:
    import ray

    try:
        ray.init(**options)
    except ConnectionError as error:
        raise NoRayError(f"there is no Ray here: {_line(error)}", hint=HINT) from error
    except (RuntimeError, ValueError) as error:
        if "ersion mismatch" in str(error):
            raise ConfigError(
                f"this Ray has other releases than this machine: {_line(error)}",
                hint="use the same release of Ray and the same minor version of Python on this "
                "machine and on the nodes, or start the command as a job on Ray: `ray job submit`",
            ) from error
        raise ConfigError(
            f"Ray refuses the connection: {_line(error)}",
            hint="see docs/ray.md; a folder that is too large is left out by a file .rayignore, or "
            "by --runtime-env with another working_dir",
        ) from error


def _check_listens(address: str) -> None:
    """Raise ``NoRayError`` if nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", or something that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), DIAL_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise NoRayError(f"there is no Ray at {address}: {reason}", hint=HINT) from error


def runtime_environment(text: str | None, folder: str) -> dict[str, Any]:
    """Return Ray's runtime environment: what the user gave, and the code's folder by default.

    Raises ``ConfigError``.
    """
    given: Any = {}
    if text is not None:
        try:
            given = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--runtime-env cannot be read: {error}",
                hint="""give JSON, such as '{"pip": ["numpy"]}', or the path of a file with it""",
            ) from error
        if not isinstance(given, dict):
            raise ConfigError("--runtime-env is not a JSON object", hint="see docs/ray.md")
    found = {"working_dir": folder, **given}
    return {name: value for name, value in found.items() if value is not None}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
