"""``wallaroo-run``: runs an application on a cluster, or one worker for a cluster elsewhere."""

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from wallaroo.coordinator.run_outcome import FailureRule
from wallaroo.coordinator.stop_intent import AtStop
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.topology.describe import plan_dot, plan_text
from wallaroo.topology.plan import HASHED_PARTITIONS_DEFAULT, Application
from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.application_choice import (
    application_named,
    split_application,
    warn_of_misspelled,
    with_plan_form,
)
from wallaroo_cli.checkpoint_options import (
    CheckpointOptions,
    check_checkpoints,
    checkpoint_options,
)
from wallaroo_cli.errors import report_errors
from wallaroo_cli.failure_options import failure_options, failure_rule
from wallaroo_cli.homes.options import HomeOptions, check_home, home_options
from wallaroo_cli.host_options import (
    HostOptions,
    advertised,
    agent_label,
    check_together,
    checked_secret,
    host_options,
)
from wallaroo_cli.original.options import is_original
from wallaroo_cli.page_options import check_page, page_options, page_settings
from wallaroo_cli.path_options import absolute_paths
from wallaroo_cli.process_signals import ProcessSignals
from wallaroo_cli.tools.numbers import Number
from wallaroo_workers import forks
from wallaroo_workers.agent import Agent, AgentSettings
from wallaroo_workers.application import load_plan
from wallaroo_workers.dashboard.settings import DashboardSettings
from wallaroo_workers.ending import ending_in_time
from wallaroo_workers.health_port import HealthPort
from wallaroo_workers.initializer.cluster import ClusterSettings, run_cluster
from wallaroo_workers.initializer.placement.hosts import HostSettings
from wallaroo_workers.initializer.placement.local import LocalPlacement
from wallaroo_workers.logs import Form, Level, configure_logs, get_logger
from wallaroo_workers.open_files import raise_open_files_limit
from wallaroo_workers.settings import ApplicationSettings, RunOptions

log = get_logger()

FRAME_BYTES_MAX_ALLOWED = 512 << 20
"""Frames of links between workers may be four times as long."""

PARTITIONS_MAX = 65_536
"""The owner of each partition is in every manifest and in the orders to all workers."""

EPILOG = """\b
All other options are passed to the application, to `application_setup(args)`:
  --in H:P[,H:P...]   where the application's sources listen; or NAME@H:P
  --out H:P[,H:P...]  where its sinks connect to

\b
Example, with the receiver started first:
  wallaroo-receiver --listen 127.0.0.1:7002
  wallaroo-run alphabet.py --in 127.0.0.1:7010 --out 127.0.0.1:7002 --workers 4

wallaroo-run --version, alone, prints the version.

\b
Exit status: 0 after an orderly stop, 1 if the run could not start or continue,
2 for a mistake on the command line or in the application, 3 if a worker that
joined has lost its initializer, 4 if every record of a pipeline failed, 5 if
more records failed than --max-failures allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The values of the options; the names are those of the options below."""

    application_module: str
    paths: tuple[str, ...]
    worker_count: int | None
    plan_form: str | None
    ready_file: str | None
    health: str | None
    control_address: str
    sink_timeout_s: float | None
    at_stop: str
    on_error: str
    dead_letters: str
    dead_letter_bytes: int
    keep_dead_letters: int | None
    max_failures: str | None
    no_restart: bool
    restarts_max: int
    worker_timeout_s: float
    frame_bytes_max: int
    exchange: str
    partition_count: int
    no_metrics: bool
    otlp: str | None
    log_format: Form
    log_level: Level
    debug: bool
    page: DashboardSettings | None
    hosts: HostOptions
    home: HomeOptions
    checkpoints: CheckpointOptions
    application_arguments: tuple[str, ...]
    folder: str
    """The folder in which the command was started."""


@report_errors
def _run_original(arguments: list[str]) -> int:
    # Imported here because few command lines are the original's.
    from wallaroo_cli.original.run import run_original

    return run_original(arguments)


class RunCommand(click.Command):
    """A command that also understands the command line of the original Wallaroo."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command, or the original's if its options are given."""
        if args or extra:
            return super().main(*args, **extra)
        # Code of the application may fork, or leave threads that never end.
        forks.guard_forks()
        with ending_in_time():
            if is_original(sys.argv[1:]):
                sys.exit(_run_original(sys.argv[1:]))
            return super().main()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Handle ``--version`` if it is the only argument; else it belongs to the application."""
        if args == ["--version"]:
            from importlib.metadata import version

            click.echo(f"{ctx.info_name}, version {version(DISTRIBUTION)}")
            ctx.exit()
        rest = super().parse_args(ctx, with_plan_form(args))
        chosen = ctx.params
        if chosen["application_module"] is None and not ctx.resilient_parsing:
            chosen["application_module"], chosen["application_arguments"] = split_application(
                chosen["application_arguments"], _own_options()
            )
        return rest


@click.command(
    cls=RunCommand,
    context_settings={"ignore_unknown_options": True},
    epilog=EPILOG,
)
@click.option(
    "--application-module",
    metavar="NAME",
    help="Application to run: the import name of its module, or its file.  [default: the first "
    "argument]",
)
@click.option(
    "--application-path",
    "paths",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder to search for the module, after the current one. Repeatable.",
)
@click.option(
    "--workers",
    "worker_count",
    metavar="N",
    type=click.IntRange(0, 1024),
    help="Worker processes on this host.  [default: as many as the last checkpoint had, else 1]",
)
@click.option(
    "--plan",
    "plan_form",
    is_flag=False,
    flag_value="text",
    type=click.Choice(["text", "dot"]),
    help="Print the plan and stop; --plan=dot for Graphviz.",
)
@click.option(
    "--ready-file",
    metavar="PATH",
    type=click.Path(dir_okay=False, writable=True),
    help="JSON file with addresses and process ids, which exists while the application is ready.",
)
@click.option(
    "--health",
    metavar="H:P",
    help="Answer probes at http://H:P/ with status 200 while the application is ready, otherwise "
    "503; with --join, while the cluster has accepted this host. This port needs no secret.",
)
@click.option(
    "--control",
    "control_address",
    metavar="H:P",
    default="127.0.0.1:0",
    show_default=True,
    help="Where the initializer listens for its workers; other hosts use this address as --join.",
)
@click.option(
    "--sink-timeout",
    "sink_timeout_s",
    metavar="SECONDS",
    type=Number(),
    help="Stop with status 1 when a sink has been unreachable for this time.  [default: no limit]",
)
@click.option(
    "--at-stop",
    type=click.Choice([each.value for each in AtStop]),
    default=AtStop.AUTO.value,
    show_default=True,
    help="What a stop does with open windows and pending timers. keep: leave them to the next run, "
    "or without --resilience-dir drop them; flush: fire them; auto: keep them if there is a "
    "--resilience-dir, otherwise fire them.",
)
@failure_options
@click.option(
    "--no-restart",
    is_flag=True,
    help="Stop with status 1 when a worker is lost, instead of starting it again.",
)
@click.option(
    "--max-restarts",
    "restarts_max",
    metavar="N",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Stop with status 1 when a worker is lost more than N times within a minute.",
)
@click.option(
    "--worker-timeout",
    "worker_timeout_s",
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    type=Number(),
    help="Treat a worker without heartbeats for this time as lost, and start it again.",
)
@click.option(
    "--max-frame-bytes",
    "frame_bytes_max",
    metavar="BYTES",
    default=16 << 20,
    show_default=True,
    type=click.IntRange(1, FRAME_BYTES_MAX_ALLOWED),
    help="The longest payload a source accepts; a longer one closes its connection.",
)
@click.option(
    "--exchange",
    type=click.Choice(["auto", "payloads", "objects"]),
    default="auto",
    show_default=True,
    help="What is sent between workers if both are possible: payloads, which are decoded again, "
    "or objects. auto: whichever is measured to be cheaper.",
)
@click.option(
    "--partitions",
    "partition_count",
    metavar="P",
    default=HASHED_PARTITIONS_DEFAULT,
    show_default=True,
    type=click.IntRange(1, PARTITIONS_MAX),
    help="Into how many partitions the keys of each state are hashed; a worker should have 16 or "
    "more.",
)
@checkpoint_options
@page_options
@host_options
@home_options
@click.option(
    "--no-metrics",
    is_flag=True,
    help="Measure nothing: the page, /metrics and wallaroo-cluster have no numbers.",
)
@click.option(
    "--otlp",
    metavar="URL",
    help="Send metrics to this OpenTelemetry endpoint over HTTP, such as http://HOST:4318; "
    "needs wallaroo-streams[otel].",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Format of log lines. auto: console on a terminal, JSON otherwise.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The minimum level of log lines.",
)
@click.option(
    "--debug", is_flag=True, help="Log details (--log-level debug), and show full tracebacks."
)
@click.argument(
    "application_arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[APPLICATION] [ITS OPTIONS]...",
)
@report_errors
def main(**values: Any) -> None:
    """Run an application on worker processes until Ctrl-C."""
    chosen = options_chosen(values)
    hosts = chosen.hosts
    process = "initializer" if hosts.join is None else f"agent of {agent_label(hosts)}"
    if chosen.home.home is not None:
        process = "driver"
    configure_logs(process, level=_log_level(chosen), form=chosen.log_format)
    failures = check_chosen(chosen, _given(values))
    warn_of_misspelled(chosen.application_arguments, _own_options())
    module, folder = application_named(chosen.application_module)
    folders = [chosen.folder] if folder is None else [folder, chosen.folder]
    application = ApplicationSettings(
        module=module,
        paths=[*folders, *chosen.paths],
        folder=chosen.folder,
        arguments=[sys.argv[0], *chosen.application_arguments],
        command_line=sys.argv,
    )
    plan = _loaded(application, debug=chosen.debug)
    if chosen.plan_form is not None:
        plan = plan.with_partitions(chosen.partition_count)
        click.echo(plan_dot(plan) if chosen.plan_form == "dot" else plan_text(plan))
        return
    if chosen.home.home is not None:
        sys.exit(_run_at_home(chosen, application, plan, values))
    if hosts.join is not None:
        agent = _agent_settings(chosen, application, hosts.join)
        sys.exit(forks.run(_joined(agent, plan, chosen.health or "")))
    sys.exit(forks.run(_run(cluster_settings(chosen, application, failures), plan)))


def options_chosen(values: dict[str, Any]) -> Chosen:
    """Return the options of the command that is being parsed, whose values these are."""
    values = absolute_paths(values)
    hosts = HostOptions.taken_from(values)
    home = HomeOptions.taken_from(values)
    checkpoints = CheckpointOptions.taken_from(values)
    page = page_settings(values)
    return Chosen(
        **values, hosts=hosts, home=home, checkpoints=checkpoints, page=page, folder=os.getcwd()
    )


def check_chosen(chosen: Chosen, given: Collection[str]) -> FailureRule:
    """Return the rule for failures. Raises ``ConfigError`` if options contradict each other.

    ``given`` has the names of the parameters that the user gave.
    """
    is_joining = chosen.hosts.join is not None
    check_home(chosen.home, given, _flags())
    check_together(chosen.hosts, chosen.worker_count)
    if not is_joining:
        check_checkpoints(chosen.checkpoints.resilience_dir, given)
    return failure_rule(chosen.max_failures, on_error=chosen.on_error, is_joining=is_joining)


def _run_at_home(
    chosen: Chosen, application: ApplicationSettings, plan: Application, values: dict[str, Any]
) -> int:
    # Imported here because homes import what only they need.
    from wallaroo_cli.homes.home import home_named
    from wallaroo_cli.homes.request import home_run

    assert chosen.home.home is not None
    refuse_stdin(plan)
    home = home_named(chosen.home.home)
    wanted = home_run(
        plan,
        application.module,
        application.paths[0],
        chosen.home,
        chosen.checkpoints,
        {**absolute_paths(values), "application_arguments": chosen.application_arguments},
        _given(values),
    )
    return home.run(wanted)


def _flags() -> dict[str, str]:
    """Return the option of each parameter, by the parameter's name."""
    return {each.name: max(each.opts, key=len) for each in main.params if each.name is not None}


def _own_options() -> list[str]:
    return [name for parameter in main.params for name in parameter.opts if name.startswith("--")]


def _given(values: dict[str, Any]) -> list[str]:
    """Return the names of the parameters that are on the command line."""
    source_of = click.get_current_context().get_parameter_source
    return [name for name in values if source_of(name) is ParameterSource.COMMANDLINE]


def _agent_settings(
    chosen: Chosen, application: ApplicationSettings, initializer: str
) -> AgentSettings:
    hosts = chosen.hosts
    secret = checked_secret(hosts, chosen.control_address)
    if secret is None:
        raise ConfigError(
            "a worker that joins needs the secret of the cluster, but none is given",
            hint="give --secret-file or WALLAROO_SECRET here and to the initializer",
        )
    own: dict[str, object] = {
        "folder": chosen.folder,
        "dead_letters": chosen.dead_letters,
    }
    checkpoints = chosen.checkpoints
    if checkpoints.resilience_dir:
        # This host may see the same store at another path.
        own["resilience"], own["journal_folder"] = checkpoints.places(chosen.folder)
        own["journals_are_local"] = checkpoints.has_local_journals
    elif checkpoints.journal_dir:
        own |= {"journal_folder": checkpoints.journal_dir, "journals_are_local": False}
    own["log_form"] = chosen.log_format
    if chosen.debug or chosen.log_level != "info":
        own |= {"debug": chosen.debug, "log_level": _log_level(chosen)}
    return AgentSettings(
        initializer=initializer,
        name=hosts.name or "",
        zone=hosts.zone or "",
        secret=secret,
        tls=hosts.tls_files,
        application=application,
        bind_host=hosts.bind_host or "",
        advertise_host=hosts.advertise_host or "",
        rejoin_s=hosts.rejoin_s,
        own_options=own,
    )


def cluster_settings(
    chosen: Chosen, application: ApplicationSettings, failures: FailureRule
) -> ClusterSettings:
    """Return the settings of a run with these options."""
    location, journal_folder = chosen.checkpoints.places(chosen.folder)
    options = RunOptions(
        frame_bytes_max=chosen.frame_bytes_max,
        sink_timeout_s=chosen.sink_timeout_s,
        stop_on_error=chosen.on_error == "stop",
        folder=chosen.folder,
        dead_letters=chosen.dead_letters,
        dead_letter_bytes=chosen.dead_letter_bytes,
        dead_letters_kept=chosen.keep_dead_letters,
        exchange=chosen.exchange,
        partition_count=chosen.partition_count,
        resilience=location,
        journal_folder=journal_folder,
        journals_are_local=chosen.checkpoints.has_local_journals,
        skip_unreadable_keys=chosen.checkpoints.skip_unreadable_keys,
        journal_sync=chosen.checkpoints.journal_sync,
        store_timeout_s=chosen.checkpoints.store_timeout_s,
        pulse_s=min(1.0, chosen.worker_timeout_s / 4),
        measures=not chosen.no_metrics,
        reports_failures=failures.limit is not None,
        log_level=_log_level(chosen),
        log_form=chosen.log_format,
        debug=chosen.debug,
    )
    return ClusterSettings(
        application=application,
        options=options,
        worker_count=_worker_count(chosen),
        control_address=chosen.control_address,
        ready_file=chosen.ready_file,
        health_address=chosen.health or "",
        at_stop=AtStop(chosen.at_stop),
        may_restart=not chosen.no_restart,
        restarts_max=chosen.restarts_max,
        worker_timeout_s=chosen.worker_timeout_s,
        checkpoints=chosen.checkpoints.settings(options.folder),
        failures=failures,
        hosts=_host_settings(chosen),
        otlp_endpoint=chosen.otlp or "",
        page=chosen.page,
    )


def _host_settings(chosen: Chosen) -> HostSettings:
    hosts = chosen.hosts
    secret, tls = checked_secret(hosts, chosen.control_address), hosts.tls_files
    check_page(chosen.page, has_secret=secret is not None, has_tls=tls is not None)
    return HostSettings(
        secret=secret,
        tls=tls,
        agent_count=hosts.expect_workers,
        agent_timeout_s=hosts.agent_timeout_s,
        standby_max=0 if hosts.grow_with_hosts else hosts.standby,
        homes_fd=hosts.homes_fd,
        runs_workers=chosen.worker_count != 0,
        bind_host=hosts.bind_host or "",
        advertise_host=advertised(hosts, chosen.control_address, chosen.worker_count),
    )


def _log_level(chosen: Chosen) -> Level:
    return "debug" if chosen.debug else chosen.log_level


def _worker_count(chosen: Chosen) -> int | None:
    """Return the number of workers of this host; ``None``: as many as the last checkpoint had."""
    is_left_out = chosen.worker_count is None
    return 1 if is_left_out and chosen.hosts.expect_workers else chosen.worker_count


def _loaded(application: ApplicationSettings, *, debug: bool) -> Application:
    try:
        return load_plan(application)
    except WallarooError:
        if debug:
            log.exception("application.load_failed")
        raise


async def _run(settings: ClusterSettings, plan: Application) -> int:
    # Each worker and each agent has connections to this process.
    raise_open_files_limit()
    if settings.hosts.agent_count:
        refuse_stdin(plan)
    placement = LocalPlacement(passes_stdin=plan.stdin_pipeline is not None)
    return await run_cluster(plan, settings, placement, signals=ProcessSignals())


def refuse_stdin(plan: Application) -> None:
    """Raise ``ConfigError`` if this application cannot have workers on several hosts."""
    if plan.stdin_pipeline is not None:
        raise ConfigError(
            f"the pipeline {plan.stdin_pipeline!r} reads the standard input of wallaroo-run, which "
            "workers on other hosts do not have",
            hint="run all workers on one host, or read from a TCP source",
        )


async def _joined(settings: AgentSettings, plan: Application, health_address: str) -> int:
    refuse_stdin(plan)
    agent = Agent(settings, plan, ProcessSignals())
    health = HealthPort(health_address, lambda: agent.is_in_use)
    await health.open()
    try:
        return await agent.run()
    finally:
        health.close()


if __name__ == "__main__":
    main()
