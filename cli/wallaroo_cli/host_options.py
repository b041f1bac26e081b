"""Options of ``wallaroo-run`` for clusters of several hosts: addresses, secret and TLS."""

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import click

from wallaroo.errors import ConfigError, ProtocolError
from wallaroo_cli.tools.numbers import Number
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.network.tls import TlsFiles
from wallaroo_workers.security import check_exposure, is_wildcard, load_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """The values of these options; the names are those of the options below."""

    join: str | None
    name: str | None
    zone: str | None
    expect_workers: int
    standby: int | None
    grow_with_hosts: bool
    homes_fd: int | None
    agent_timeout_s: float
    rejoin_s: float
    bind_host: str | None
    advertise_host: str | None
    secret_file: str | None
    tls_cert: str | None
    tls_key: str | None
    tls_ca: str | None

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> "HostOptions":
        """Remove these options from ``values`` and return them."""
        return cls(**{field.name: values.pop(field.name) for field in fields(cls)})

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of ``--tls-…``; raises ``ConfigError`` if only some are given."""
        return tls_files(self.tls_cert, self.tls_key, self.tls_ca)


def tls_files(cert: str | None, key: str | None, authority: str | None) -> TlsFiles | None:
    """Return the files of ``--tls-…``, ``None`` without any; ``ConfigError`` for only some."""
    paths = {"--tls-cert": cert, "--tls-key": key, "--tls-ca": authority}
    if not any(paths.values()):
        return None
    if missing := [option for option, path in paths.items() if not path]:
        raise ConfigError(
            f"TLS needs three files; missing: {' and '.join(missing)}",
            hint="give --tls-cert, --tls-key and --tls-ca together",
        )
    cert, key, authority = (os.path.abspath(path) for path in paths.values() if path)
    return TlsFiles(certificate=cert, key=key, authority=authority)


_FILE = click.Path(dir_okay=False)
_SECONDS = Number()

TLS_OPTIONS = (
    click.option("--tls-cert", metavar="PATH", type=_FILE, help="This host's certificate, as PEM."),
    click.option("--tls-key", metavar="PATH", type=_FILE, help="Its private key."),
    click.option(
        "--tls-ca",
        metavar="PATH",
        type=_FILE,
        help="The certificate authority that signed the certificates of all hosts.",
    ),
)

_OPTIONS = [
    click.option(
        "--join",
        metavar="H:P",
        help="Run one worker on this host for the cluster whose --control address this is.",
    ),
    click.option(
        "--name",
        metavar="NAME",
        help="With --join: run this worker only.  [default: the worker that the initializer names]",
    ),
    click.option(
        "--zone",
        metavar="ZONE",
        help="With --join: what fails together with this host, such as a rack. Workers are spread "
        "over zones.  [default: the name of this host]",
    ),
    click.option(
        "--expect-workers",
        metavar="N",
        default=0,
        type=click.IntRange(0, 1024),
        help="Start when N workers of other hosts have joined with --join.",
    ),
    click.option(
        "--standby",
        metavar="S",
        type=click.IntRange(0, 1024),
        help="Keep up to S joined hosts without --name in reserve, and let more of them join the "
        "cluster.  [default: no more join than --expect-workers]",
    ),
    click.option(
        "--grow-with-hosts",
        is_flag=True,
        help="Let each host that joins become a worker, as --standby 0 does.",
    ),
    click.option(
        "--homes-fd",
        metavar="N",
        type=click.IntRange(3),
        help="Write how many hosts are wanted to this file descriptor, a line of JSON at each "
        "change; for supervisors that start hosts.",
    ),
    click.option(
        "--agent-timeout",
        "agent_timeout_s",
        metavar="SECONDS",
        default=60.0,
        show_default=True,
        type=_SECONDS,
        help="Stop with status 1 when the host of a worker has been gone for this time.",
    ),
    click.option(
        "--rejoin",
        "rejoin_s",
        metavar="SECONDS",
        default=0.0,
        type=Number(above_zero=False),
        help="With --join: try for this time to reconnect when the initializer is lost.  "
        "[default: stop with status 3]",
    ),
    click.option(
        "--bind",
        "bind_host",
        metavar="HOST",
        help="Where workers of this host listen for other workers.  [default: the local address "
        "of the connection to the initializer]",
    ),
    click.option(
        "--advertise",
        "advertise_host",
        metavar="HOST",
        help="The address that other hosts dial to reach workers of this host.  [default: the "
        "address they bind]",
    ),
    click.option(
        "--secret-file",
        metavar="PATH",
        type=_FILE,
        help="File with the cluster's secret, the same on every host; or set WALLAROO_SECRET.  "
        "[default: a random secret for each run]",
    ),
    *TLS_OPTIONS,
]


def host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_together(options: HostOptions, worker_count: int | None) -> None:
    """Raise ``ConfigError`` for options that contradict each other."""
    if options.join is None:
        if options.name is not None or options.zone is not None or options.rejoin_s:
            raise ConfigError(
                "--name, --zone and --rejoin are for a worker that joins another host's cluster",
                hint="add --join H:P, or leave them out",
            )
        if worker_count == 0 and not options.expect_workers:
            raise ConfigError(
                "--workers 0 leaves no worker",
                hint="add --expect-workers N and start workers on other hosts with --join",
            )
    elif worker_count is not None:
        raise ConfigError(
            "--join runs one worker, but --workers belongs to the initializer",
            hint="leave out --workers; for several workers on this host start this command several "
            "times, each with another --name",
        )
    elif options.expect_workers or options.standby is not None or options.grow_with_hosts:
        given = "--expect-workers" if options.expect_workers else "--standby or --grow-with-hosts"
        refuse_in_agent(given)
    if options.grow_with_hosts and options.standby:
        raise ConfigError(
            "--grow-with-hosts keeps no host in reserve, but --standby does",
            hint="give only one of them",
        )


def refuse_in_agent(options: str) -> NoReturn:
    """Raise ``ConfigError``: only the initializer may get these options, and not with --join."""
    raise ConfigError(
        f"{options} belongs to the initializer, and --join starts a worker",
        hint=f"give {options} to the initializer only",
    )


def checked_secret(options: HostOptions, control: str) -> bytes | None:
    """Return the user's secret, if one is given.

    Raises ``ConfigError`` if the cluster would be reachable from other hosts without secret and
    TLS.
    """
    secret = load_secret(options.secret_file)
    option, address = ("--control", control) if options.join is None else ("--join", options.join)
    has_secret, has_tls = secret is not None, options.tls_files is not None
    host, _ = split_option(option, address)
    check_exposure(option, host, has_secret=has_secret, has_tls=has_tls)
    if options.bind_host is not None:
        check_exposure("--bind", options.bind_host, has_secret=has_secret, has_tls=has_tls)
    return secret


def advertised(options: HostOptions, control: str, worker_count: int | None) -> str:
    """Return the host that others dial to reach this host's workers; empty: what these bind."""
    bind = options.bind_host or split_option("--control", control)[0]
    if options.advertise_host is None and worker_count != 0 and is_wildcard(bind):
        raise ConfigError(
            f"workers of this host would listen on all its addresses ({bind}), and other workers "
            "would not know which to dial",
            hint="add --advertise HOST, the address at which other hosts reach this one, or bind "
            "a single address with --bind",
        )
    return options.advertise_host or ""


def agent_label(options: HostOptions) -> str:
    """Return what the log calls this agent: the worker that it runs, or its host."""
    return options.name or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())


def split_option(option: str, address: str) -> tuple[str, int]:
    """Return host and port of an option's value. Raises ``ConfigError``."""
    try:
        return split_address(address)
    except ProtocolError as error:
        hint = "give host and port, such as 127.0.0.1:7100"
        raise ConfigError(f"{option}: {error.what}", hint) from error
