"""Options that all commands of ``wallaroo-cluster`` share, and how they show an answer."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from wallaroo.errors import ConfigError
from wallaroo.routing.key_text import KINDS
from wallaroo_cli.host_options import TLS_OPTIONS, tls_files
from wallaroo_cli.tools.control_client import OnProgress, ask
from wallaroo_cli.tools.numbers import Number
from wallaroo_cli.tools.running_clusters import Target, find_cluster
from wallaroo_cli.tools.waiting import Waiting
from wallaroo_workers.security import SECRET_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])

_KEY_TYPE = click.option(
    "--type",
    "type",
    default="str",
    show_default=True,
    type=click.Choice(KINDS),
    help="The type of KEY; for a tuple use json, with a list.",
)

_WHICH = (
    click.option(
        "--cluster",
        "address",
        metavar="H:P",
        help="Control address of the cluster.  [default: the cluster started in this folder]",
    ),
    click.option(
        "--secret-file",
        metavar="PATH",
        type=click.Path(exists=True, dir_okay=False),
        help=f"File with the cluster's secret.  [default: {SECRET_VARIABLE}, or the run file]",
    ),
    *TLS_OPTIONS,
    click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs."),
)

_ON = click.option(
    "--on",
    "home",
    metavar="HOME",
    help="Address the cluster on this home, such as ray, ray:APPLICATION or "
    "ray://H:P/APPLICATION; see wallaroo-run --on.",
)

_TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    type=Number(),
    help="How long to wait for a worker's answer.",
)


def address_options(command: F) -> F:
    """Add the options that choose a cluster by its address, and the format of the answer."""
    for option in reversed(_WHICH):
        command = option(command)
    return command


def cluster_options(command: F) -> F:
    """Add the options that choose a cluster by its address or home, and the answer's format."""
    return _ON(address_options(command))


def timeout_option(command: F) -> F:
    """Add the limit for workers that do not answer."""
    return _TIMEOUT(command)


def key_type_option(command: F) -> F:
    """Add the type of the argument KEY."""
    return _KEY_TYPE(command)


def target_of(options: dict[str, Any]) -> Target:
    """Remove the options that choose the cluster, and return the cluster."""
    files = tls_files(*(options.pop(name) for name in ("tls_cert", "tls_key", "tls_ca")))
    return find_cluster(options.pop("address"), options.pop("secret_file"), files)


def ask_cluster(
    options: dict[str, Any],
    method: str,
    on_progress: OnProgress = lambda _: None,
    *,
    until_ended: bool = False,
) -> dict[str, Any]:
    """Remove the options that choose the cluster; send the others as parameters; return the result.

    With ``until_ended`` wait for the end of the cluster, too.
    """
    home = options.pop("home")
    if home is None:
        target = target_of(options)
        return ask(target, method, options, on_progress, until_ended=until_ended)
    for name in ("address", "secret_file", "tls_cert", "tls_key", "tls_ca"):
        if options.pop(name) is not None:
            raise ConfigError(
                "--on names a cluster on a home, which knows its address, secret and certificates",
                hint="leave out --cluster, --secret-file and --tls-..., or --on",
            )
    # Imported here because homes import what only they need.
    from wallaroo_cli.homes.home import home_named

    return home_named(home).ask(method, options, until_ended=until_ended)


def ask_and_show(
    options: dict[str, Any], method: str, show: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Send the other options as parameters; write the answer as JSON or by ``show``; return it."""
    as_json = options.pop("as_json")
    answer = ask_cluster(options, method)
    write(answer, show, as_json=as_json)
    return answer


def do_and_show(
    options: dict[str, Any],
    method: str,
    show: Callable[[dict[str, Any]], str],
    *,
    until_ended: bool = False,
) -> None:
    """Like ``ask_and_show`` for slow requests: shows a progress line meanwhile."""
    as_json = options.pop("as_json")
    with Waiting(method) as waiting:
        answer = ask_cluster(options, method, waiting.show, until_ended=until_ended)
    write(answer, lambda answer: click.echo(show(answer)), as_json=as_json)


def write(answer: dict[str, Any], show: Callable[[dict[str, Any]], None], *, as_json: bool) -> None:
    """Write an answer to stdout."""
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        show(answer)
