"""Options of ``wallaroo-run`` for the cluster's page."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wallaroo.errors import ConfigError, ProtocolError
from wallaroo_workers.dashboard.settings import DEFAULT_ADDRESS, DashboardSettings
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.security import check_exposure

HINT_PAGE = (
    "leave out --dashboard and use a tunnel, `ssh -L 4000:127.0.0.1:4000 HOST`; or give a secret "
    "and a certificate, which `wallaroo-cluster certificates DIR --hosts HOST` creates; see "
    "docs/monitoring.md"
)

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--dashboard",
        "dashboard_address",
        metavar="H:P",
        help="Address of the cluster's page and its /metrics; port 0 takes a free port.  "
        f"[default: {DEFAULT_ADDRESS}]",
    ),
    click.option("--no-dashboard", is_flag=True, help="Serve neither the page nor /metrics."),
    click.option(
        "--dashboard-host",
        "dashboard_names",
        metavar="NAME",
        multiple=True,
        help="Another host name under which browsers may open the page. Repeatable.",
    ),
)


def page_options(command: F) -> F:
    """Add these options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def page_settings(values: dict[str, Any]) -> DashboardSettings | None:
    """Remove these options from ``values``; return the page's settings, ``None`` for no page."""
    address, names = values.pop("dashboard_address"), values.pop("dashboard_names")
    if values.pop("no_dashboard"):
        if names or address is not None:
            other = "--dashboard" if address is not None else "--dashboard-host"
            raise ConfigError(
                f"--no-dashboard turns the page off, but {other} configures it",
                hint="leave out one of them",
            )
        return None
    if address is None:
        address = DEFAULT_ADDRESS
    try:
        split_address(address)
    except ProtocolError as error:
        raise ConfigError(
            f"--dashboard: {error.what}", hint=f"leave it out, or give {DEFAULT_ADDRESS}"
        ) from error
    return DashboardSettings(address=address, names=tuple(names))


def check_page(page: DashboardSettings | None, *, has_secret: bool, has_tls: bool) -> None:
    """Raise ``ConfigError`` if other hosts could open the page without secret and TLS."""
    if page is not None:
        host, _ = split_address(page.address)
        check_exposure("--dashboard", host, has_secret=has_secret, has_tls=has_tls, hint=HINT_PAGE)
