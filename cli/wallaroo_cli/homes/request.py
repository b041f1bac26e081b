"""Makes of a command line what a home is asked to run."""

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

import click

from wallaroo.errors import ConfigError
from wallaroo.topology.plan import Application
from wallaroo_cli.checkpoint_options import CheckpointOptions
from wallaroo_cli.homes.home import HomeRun
from wallaroo_cli.homes.options import NAMES, HomeOptions

NOT_PASSED = {
    *NAMES,
    "standby",
    "application_module",
    "application_arguments",
    "plan_form",
    "log_format",
    "resilience_dir",
}
OF_AGENTS = ("log_level", "debug", "dead_letters")
"""What agents do not get from the initializer."""


def home_run(
    plan: Application,
    module: str,
    folder: str,
    options: HomeOptions,
    checkpoints: CheckpointOptions,
    values: Mapping[str, Any],
    given: Collection[str],
) -> HomeRun:
    """Return what to run; ``values`` are those of all parameters, of which some were ``given``.

    Raises ``ConfigError`` if input that was accepted could be lost with a host.
    """
    flags = {
        parameter.name: parameter
        for parameter in click.get_current_context().command.params
        if isinstance(parameter, click.Option)
    }
    passed = [name for name in given if name in flags and name not in NOT_PASSED]
    log_form = values["log_format"]
    if log_form == "auto":
        # Only our stderr may be a terminal, and it shows their lines.
        log_form = "console" if sys.stderr is not None and sys.stderr.isatty() else "json"
    both = [f"--log-format={log_form}"]
    store, journals = checkpoints.places(os.getcwd())
    words = {name: _arguments(flags[name], values[name]) for name in passed}
    initializer = [each for name in passed for each in words[name]]
    agent = [each for name in passed if name in OF_AGENTS for each in words[name]]
    if checkpoints.has_local_journals:
        journals = ""
    _check_journals(plan, store, journals, allows_loss=checkpoints.allow_lost_input)
    return HomeRun(
        plan=plan,
        module=module,
        folder=folder,
        command_folder=os.getcwd(),
        options=options,
        standby=values["standby"] or 0,
        store=store,
        journals=journals,
        allow_lost_input=checkpoints.allow_lost_input,
        initializer=[*both, *([f"--resilience-dir={store}"] if store else []), *initializer],
        agent=[*both, *agent],
        arguments=list(values["application_arguments"]),
    )


def _check_journals(plan: Application, store: str, journals: str, *, allows_loss: bool) -> None:
    """Raise ``ConfigError`` if a host that is lost may take the only copy of input with it."""
    kept = [each.name for each in plan.pipelines if each.source.keeps_journal]
    if not store or not kept or journals or allows_loss:
        return
    raise ConfigError(
        f"the source of the pipeline {kept[0]!r} keeps a journal of what it has accepted, and "
        "journals would be on the disks of single nodes: a node that is lost would take accepted "
        "input with it",
        hint="give --journal-dir a folder that all nodes share, read from Kafka or files, which "
        "can be read again, or accept the loss with --allow-lost-input",
    )


def _arguments(option: click.Option, value: Any) -> list[str]:
    flag = max(option.opts, key=len)
    if option.is_flag:
        return [flag] if value else []
    values = value if isinstance(value, list | tuple) else [value]
    return [f"{flag}={each}" for each in values]
