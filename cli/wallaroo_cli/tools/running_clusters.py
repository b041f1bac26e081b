"""Finds the cluster that a command is about, by its address or by the folder it runs in."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wallaroo.errors import ConfigError, WallarooError
from wallaroo.statuses import ExitStatus
from wallaroo_cli.tools.addresses import Address, parse_address
from wallaroo_workers.network.tls import TlsFiles
from wallaroo_workers.run_file import living_runs
from wallaroo_workers.security import SECRET_VARIABLE, is_loopback, is_wildcard, load_secret


class NoClusterError(WallarooError):
    """There is no cluster at the given address or in this folder."""

    exit_code = ExitStatus.NO_CLUSTER


@dataclass(frozen=True, slots=True)
class Target:
    """The control address of a cluster, and what proves that a client may use it."""

    address: Address
    secret: bytes
    tls: TlsFiles | None = None


def find_cluster(
    address: str | None, secret_file: str | None, tls: TlsFiles | None = None
) -> Target:
    """Return the cluster at ``address``, or else the one that runs in the current folder.

    The secret is that of ``secret_file``, of the environment, or of the run file, in this order;
    so are the files for TLS, but for the environment.
    Raises ``NoClusterError`` if none runs here, ``ConfigError`` if several do, or where a secret
    is none that a cluster takes.
    """
    runs = living_runs(Path.cwd())
    secret = load_secret(secret_file)
    if address is None:
        run = _only(runs)
        control = parse_address(run["control"], "the run file's")
        return Target(control, secret or _secret_of(run), tls or _tls_of(run))
    wanted = parse_address(address, "--cluster")
    same = [run for run in runs if _leads_to(wanted, parse_address(run["control"], "its"))]
    if tls is None and same:
        tls = _tls_of(same[0])
    if secret is None:
        if not same:
            raise ConfigError(
                f"there is no secret for the cluster at {wanted}",
                hint=f"give --secret-file or {SECRET_VARIABLE}, or go to the folder in which it "
                "was started",
            )
        secret = _secret_of(same[0])
    return Target(wanted, secret, tls)


def find_run() -> dict[str, Any]:
    """Return the facts in the run file of the only cluster that runs in the current folder."""
    return _only(living_runs(Path.cwd()))


def _leads_to(wanted: Address, control: Address) -> bool:
    """Return whether a typed address is that of a run on this host."""
    if wanted.port != control.port:
        return False
    if is_wildcard(control.host):
        return is_loopback(wanted.host)
    return wanted.host == control.host or bool(_numbers(wanted) & _numbers(control))


def _numbers(address: Address) -> set[str]:
    try:
        found = socket.getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return set()
    return {str(where[0]) for *_, where in found}


def _secret_of(run: dict[str, Any]) -> bytes:
    return bytes.fromhex(run["secret"])


def _tls_of(run: dict[str, Any]) -> TlsFiles | None:
    files = run.get("tls")
    return None if files is None else TlsFiles(**files)


def _only(runs: list[dict[str, Any]]) -> dict[str, Any]:
    if not runs:
        raise NoClusterError(
            f"no cluster runs that was started in {Path.cwd()}",
            hint="go to the folder in which it was started (wallaroo-cluster list --all shows it), "
            "or give --cluster H:P",
        )
    if len(runs) > 1:
        listed = "\n".join(
            f"  {run['control']}  {run['application']}, process {run['pid']}" for run in runs
        )
        raise ConfigError(
            f"{len(runs)} clusters run that were started in this folder:\n{listed}",
            hint="choose one with --cluster H:P",
        )
    return runs[0]
