"""``wallaroo-cluster top``: the state of a cluster in a terminal, refreshed each second."""

import contextlib
import sys
import time
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo_cli.errors import report_errors
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.dashboard_client import DashboardClient
from wallaroo_cli.tools.running_clusters import find_run
from wallaroo_cli.tools.top_view import gone_line, top_view
from wallaroo_workers.security import load_secret

REFRESH_S = 1.0
WIDTH_WITHOUT_TERMINAL = 140


@click.command(short_help="Show the state of the cluster, refreshed each second.")
@click.option(
    "--dashboard",
    "address",
    metavar="H:P",
    help="Address of the cluster's page.  [default: the cluster started in this folder]",
)
@click.option(
    "--tls-ca",
    "authority",
    metavar="PATH",
    type=click.Path(exists=True, dir_okay=False),
    help="The cluster's certificate authority, for a page with TLS.  [default: from the run file]",
)
@click.option("--once", is_flag=True, help="Print the screen once and exit, for scripts.")
@report_errors
def top(address: str | None, authority: str | None, *, once: bool) -> None:
    """Show records, workers, keys, checkpoints and errors as they change; stop with Ctrl-C.

    The data comes from the cluster's page. A page that is open to other machines needs the secret,
    from WALLAROO_SECRET or the run file.
    """
    client = DashboardClient(*_target(address, authority))
    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if is_terminal else WIDTH_WITHOUT_TERMINAL)
    first = client.snapshot()
    if once or not is_terminal:
        console.print(top_view(first, console.height if is_terminal else None, console.width))
        return
    with contextlib.suppress(KeyboardInterrupt):
        _follow(client, first, console)


def _follow(client: DashboardClient, snapshot: dict[str, Any], console: Console) -> None:
    gone_unix_s: float | None = None
    with Live(console=console, screen=True, auto_refresh=False) as shown:
        while True:
            above = [] if gone_unix_s is None else [gone_line(gone_unix_s)]
            shown.update(top_view(snapshot, console.height, console.width, above), refresh=True)
            time.sleep(REFRESH_S)
            try:
                snapshot, gone_unix_s = client.snapshot(), None
            except ConfigError:
                raise
            except WallarooError:
                gone_unix_s = gone_unix_s or time.time()


def _target(address: str | None, authority: str | None) -> tuple[str, str, str]:
    """Return the page's address, the encoded secret and the authority; these two may be empty."""

    if address is not None:
        given = load_secret(None)
        secret = "" if given is None else given.hex()
        return str(parse_address(address, "--dashboard")), secret, authority or ""
    run = find_run()
    if not run["dashboard"]:
        raise ClusterError(
            f"the cluster of {run['application']} has no page",
            hint="it was started with --no-dashboard, or its port was in use: see its log; "
            "wallaroo-cluster status needs no page",
        )
    tls = run.get("tls") or {}
    return run["dashboard"], run["secret"], authority or tls.get("authority", "")
