"""Options of ``wallaroo-run`` for a cluster that runs on a home, such as Ray."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

import click

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.numbers import Number

Spread = Literal["strict", "spread", "pack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeOptions:
    """The values of these options; the names are those of the options below."""

    home: str | None
    host_count: int
    worker_cpus: float
    spread: Spread
    autoscale: tuple[int, int] | None
    detach: bool
    runtime_env: str | None

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> "HomeOptions":
        """Remove these options from ``values`` and return them. Raises ``ConfigError``."""
        own = {field.name: values.pop(field.name) for field in fields(cls)}
        return cls(**{**own, "autoscale": _limits(own["autoscale"], own["host_count"])})


ON_OPTION = click.option(
    "--on",
    "home",
    metavar="HOME",
    help="Run the cluster on this home instead of this machine: ray for the Ray of RAY_ADDRESS or "
    "of this machine, ray://H:P through Ray's client, ray:new for a Ray of its own on this "
    "machine. Needs wallaroo-streams[ray].",
)

_OPTIONS = [
    ON_OPTION,
    click.option(
        "--hosts",
        "host_count",
        metavar="N",
        default=1,
        show_default=True,
        type=click.IntRange(1, 1024),
        help="With --on: run N workers, each on a host of its own. --standby S more are kept in "
        "reserve.",
    ),
    click.option(
        "--worker-cpus",
        metavar="C",
        default=1.0,
        show_default=True,
        type=Number(above_zero=False),
        help="With --on: the CPUs that each host reserves.",
    ),
    click.option(
        "--spread",
        type=click.Choice(["strict", "spread", "pack"]),
        default="spread",
        show_default=True,
        help="With --on: how hosts are put on nodes. strict: no two on one node; spread: on as "
        "many nodes as possible; pack: on as few.",
    ),
    click.option(
        "--autoscale",
        metavar="MIN:MAX",
        help="With --on: add a worker when they are busy for a minute, remove one when they were "
        "quiet for ten.  [default: as many as --hosts]",
    ),
    click.option(
        "--detach",
        is_flag=True,
        help="With --on: return when the application is ready; wallaroo-cluster stop ends it.",
    ),
    click.option(
        "--runtime-env",
        metavar="JSON|FILE",
        help="With --on ray: Ray's runtime environment, as JSON or the path of a JSON file.  "
        "[default: the application's folder as working_dir]",
    ),
]

NAMES = frozenset(field.name for field in fields(HomeOptions))

REFUSED = {
    "worker_count": "give the number of workers with --hosts",
    "control_address": "the home chooses addresses",
    "join": "hosts join by themselves",
    "name": "hosts get their names by themselves",
    "zone": "the home's nodes are the zones",
    "expect_workers": "give --hosts",
    "grow_with_hosts": "give --autoscale, or use wallaroo-cluster grow",
    "homes_fd": "the home reads it",
    "rejoin_s": "hosts join the next initializer by themselves",
    "bind_host": "the home chooses addresses",
    "advertise_host": "the home chooses addresses",
    "secret_file": "each run on a home has a secret of its own",
    "tls_cert": "each run on a home has certificates of its own",
    "tls_key": "each run on a home has certificates of its own",
    "tls_ca": "each run on a home has certificates of its own",
    "ready_file": "ask wallaroo-cluster status --on HOME, or give --detach",
    "health": "ask wallaroo-cluster status --on HOME",
    "paths": "nodes do not have folders of this machine; give --runtime-env a working_dir",
    "dashboard_address": "the page is not served there; use wallaroo-cluster --on HOME",
    "dashboard_names": "the page is not served there; use wallaroo-cluster --on HOME",
    "no_dashboard": "the page is not served there",
    "take_over": "a run on a home always takes over from one that it replaces",
}
"""Options that make no sense with ``--on``, and what to do instead."""


def home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_home(options: HomeOptions, given: Collection[str], flags: dict[str, str]) -> None:
    """Raise ``ConfigError`` for options that contradict each other.

    ``given`` has the names of the parameters on the command line, ``flags`` their options.
    """
    if options.home is None:
        if vain := [name for name in given if name in NAMES]:
            raise ConfigError(
                f"{flags[vain[0]]} is for a cluster on a home, and --on is not given",
                hint=f"add --on HOME, such as --on ray, or leave out {flags[vain[0]]}",
            )
    elif refused := [name for name in given if name in REFUSED]:
        flag = flags[refused[0]]
        raise ConfigError(
            f"{flag} does not go together with --on",
            hint=f"leave it out: {REFUSED[refused[0]]}",
        )


def _limits(text: str | None, count: int) -> tuple[int, int] | None:
    if text is None:
        return None
    least, colon, most = text.partition(":")
    if not (colon and least.isdecimal() and most.isdecimal()):
        raise ConfigError(
            f"--autoscale {text!r} is not MIN:MAX", hint="give two numbers, such as 2:8"
        )
    if not 1 <= int(least) <= count <= int(most):
        raise ConfigError(
            f"--autoscale {text} does not contain the {count} of --hosts",
            hint="give --hosts a number from MIN to MAX, and MIN at least 1",
        )
    return int(least), int(most)
