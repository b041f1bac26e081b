"""The options of ``wallaroo-run`` for clusters of several hosts: who joins whom, and how safely."""

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from wallaroo.errors import ConfigError, ProtocolError
from wallaroo_cli.tools.numbers import Number
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.network.tls import TlsFiles
from wallaroo_workers.security import check_exposure, is_wildcard, load_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What these options say; the names are those of the options below."""

    join: str | None
    name: str | None
    expect_workers: int
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
        """Take these options out of all that a command was given."""
        return cls(**{field.name: values.pop(field.name) for field in fields(cls)})

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of ``--tls-…``; raises ``ConfigError`` for a part of them."""
        return tls_files(self.tls_cert, self.tls_key, self.tls_ca)


def tls_files(cert: str | None, key: str | None, authority: str | None) -> TlsFiles | None:
    """Return the files of ``--tls-…``, ``None`` without any; ``ConfigError`` for a part of them."""
    paths = {"--tls-cert": cert, "--tls-key": key, "--tls-ca": authority}
    if not any(paths.values()):
        return None
    if missing := [option for option, path in paths.items() if not path]:
        raise ConfigError(
            f"TLS needs three files, and there is no {' and no '.join(missing)}",
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
        help="The authority that signed the certificates of all hosts of the cluster.",
    ),
)

_OPTIONS = [
    click.option(
        "--join",
        metavar="H:P",
        help="Run one worker on this host for the cluster whose initializer listens there.",
    ),
    click.option(
        "--name",
        metavar="NAME",
        help="The worker's name, with --join.  [default: the name of this host]",
    ),
    click.option(
        "--expect-workers",
        metavar="N",
        default=0,
        type=click.IntRange(0, 1024),
        help="Begin when so many workers have come from elsewhere with --join.",
    ),
    click.option(
        "--agent-timeout",
        "agent_timeout_s",
        metavar="SECONDS",
        default=60.0,
        show_default=True,
        type=_SECONDS,
        help="Stop with status 1 when the host of a worker is gone for so long.",
    ),
    click.option(
        "--rejoin",
        "rejoin_s",
        metavar="SECONDS",
        default=0.0,
        type=Number(above_zero=False),
        help="With --join: dial again for so long when the initializer is lost.  [default: stop "
        "with status 3]",
    ),
    click.option(
        "--bind",
        "bind_host",
        metavar="HOST",
        help="Where workers of this host listen for other workers.  [default: the address that "
        "leads to the initializer]",
    ),
    click.option(
        "--advertise",
        "advertise_host",
        metavar="HOST",
        help="What other hosts dial to reach workers of this one, if not what they bind.",
    ),
    click.option(
        "--secret-file",
        metavar="PATH",
        type=_FILE,
        help="The cluster's secret, the same on every host; or WALLAROO_SECRET.  [default: a "
        "random one for each run]",
    ),
    *TLS_OPTIONS,
]


def host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_together(options: HostOptions, worker_count: int | None) -> None:
    """Refuse options that make no sense together. Raises ``ConfigError``."""
    if options.join is None:
        if options.name is not None or options.rejoin_s:
            raise ConfigError(
                "--name and --rejoin are for a worker that joins another host's cluster",
                hint="add --join H:P, or leave them out",
            )
        if worker_count == 0 and not options.expect_workers:
            raise ConfigError(
                "--workers 0 leaves nobody to work",
                hint="add --expect-workers N and start workers elsewhere with --join",
            )
    elif worker_count is not None:
        raise ConfigError(
            "--join runs one worker, and --workers is for the initializer",
            hint="leave out --workers; for several workers here start this command several times, "
            "each with another --name",
        )
    elif options.expect_workers:
        raise ConfigError(
            "--join and --expect-workers are for different processes",
            hint="give --expect-workers to the initializer alone",
        )


def checked_secret(options: HostOptions, control: str) -> bytes | None:
    """Return the user's secret, if there is one.

    Raises ``ConfigError`` where the cluster would reach beyond this host without secret and TLS.
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
    """Return what other hosts dial to reach this one's workers; empty for what these bind."""
    bind = options.bind_host or split_option("--control", control)[0]
    if options.advertise_host is None and worker_count != 0 and is_wildcard(bind):
        raise ConfigError(
            f"workers of this host would listen at all its addresses ({bind}), and nobody could "
            "tell the others which to dial",
            hint="add --advertise HOST, the address of this host that the others reach, or "
            "--bind one address",
        )
    return options.advertise_host or ""


def worker_name(options: HostOptions) -> str:
    """Return the name to join with."""
    return options.name or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())


def split_option(option: str, address: str) -> tuple[str, int]:
    """Return host and port of an option. Raises ``ConfigError``."""
    try:
        return split_address(address)
    except ProtocolError as error:
        raise ConfigError(f"{option}: {error.what}", hint="give it as 127.0.0.1:7100") from error
