"""The options of ``wallaroo-run`` as keywords of Python functions, with underscores.

They are parsed by the command itself, so names, defaults, limits and messages are the same.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from wallaroo.api.running import in_keywords
from wallaroo.errors import ConfigError
from wallaroo.suggestions import did_you_mean
from wallaroo_cli.run import check_chosen, cluster_settings, main, options_chosen
from wallaroo_workers.initializer.settings import ClusterSettings
from wallaroo_workers.settings import ApplicationSettings

OF_THE_COMMAND = frozenset(
    {
        *("application_module", "application_path", "plan"),
        *("join", "name", "zone", "homes_fd", "rejoin"),
        *("on", "hosts", "worker_cpus", "spread", "autoscale", "detach", "runtime_env"),
    }
)
"""What only the command has: it finds the application, starts workers that join, and has homes."""

DEFAULTS: dict[str, Any] = {"log_level": "warning", "no_dashboard": True}
"""A function of a program is quieter than a command, and opens no port that nobody asked for."""


def settings_for(keywords: Mapping[str, Any]) -> ClusterSettings:
    """Return the settings of a run in this program. Raises ``ConfigError`` for wrong keywords."""
    options = _options()
    if unknown := [name for name in keywords if name not in options]:
        meant = did_you_mean(unknown[0], options)
        raise ConfigError(
            f"there is no keyword {unknown[0]!r}",
            hint=f"{meant}the keywords are the options of wallaroo-run, with underscores",
        )
    given = {name: value for name, value in keywords.items() if value is not None}
    defaults = dict(DEFAULTS)
    if given.keys() & {"dashboard", "dashboard_host", "no_dashboard"}:
        del defaults["no_dashboard"]
    if given.get("debug"):
        del defaults["log_level"]
    arguments = ["--application-module", "a module of this program"]
    for name, value in (defaults | given).items():
        arguments += _arguments(options[name], name, value)
    try:
        context = main.make_context("run()", arguments)
    except click.ClickException as error:
        raise ConfigError(in_keywords(error.format_message())) from error
    folder = os.getcwd()
    application = ApplicationSettings(
        module="",
        paths=[os.path.abspath(each) for each in sys.path],
        arguments=[*sys.argv],
        folder=folder,
    )
    try:
        with context.scope():
            chosen = options_chosen(dict(context.params))
            failures = check_chosen(chosen, [_parameter(options[name]) for name in given])
            return cluster_settings(chosen, application, failures)
    except ConfigError as error:
        error.reword(in_keywords)
        raise


def _options() -> dict[str, click.Option]:
    """Return the options that are keywords, by keyword."""
    found = {}
    for parameter in main.params:
        if isinstance(parameter, click.Option):
            name = max(parameter.opts, key=len).removeprefix("--").replace("-", "_")
            if name not in OF_THE_COMMAND:
                found[name] = parameter
    return found


def _parameter(option: click.Option) -> str:
    assert option.name is not None
    return option.name


def _arguments(option: click.Option, name: str, value: Any) -> list[str]:
    """Return the arguments of a command line that say the same as a keyword."""
    flag = max(option.opts, key=len)
    if option.is_flag:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}", hint="give True or False")
        return [flag] if value else []
    values = value if option.multiple and isinstance(value, list | tuple) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float | os.PathLike):
            raise ConfigError(
                f"{name} is {each!r}", hint="give a number, a text, or the path of a file"
            )
    return [
        f"{flag}={os.fspath(each) if isinstance(each, os.PathLike) else each}" for each in values
    ]
