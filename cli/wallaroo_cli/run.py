"""wallaroo-run: start a cluster on this machine, run an application on it, stop it in order."""

import difflib
import os
import sys

import click
import structlog
import uvloop

from wallaroo.errors import WallarooError
from wallaroo.topology.describe import plan_dot, plan_text
from wallaroo.topology.plan import Plan
from wallaroo_cli.errors import report_errors
from wallaroo_workers.application import load_plan
from wallaroo_workers.initializer.cluster import Cluster, ClusterSettings
from wallaroo_workers.initializer.placement import LocalPlacement
from wallaroo_workers.logs import configure_logs
from wallaroo_workers.settings import ApplicationSettings, RunOptions

log = structlog.get_logger()

FRAME_BYTES_MAX_ALLOWED = 512 << 20
"""Links between workers carry frames of four times this size."""

EPILOG = """\b
Every other option goes to the application, as `application_setup(args)` gets it:
  --in H:P[,H:P...]   where the application's sources listen
  --out H:P[,H:P...]  where its sinks connect to

\b
Example, with the receiver started first:
  wallaroo-receiver --listen 127.0.0.1:7002
  wallaroo-run --application-module alphabet --in 127.0.0.1:7010 \\
               --out 127.0.0.1:7002 --workers 4

Exit status: 0 after a stop in order, 1 when the run could not start or go on,
2 for a mistake on the command line or in the application."""


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=EPILOG,
)
@click.option(
    "--application-module",
    metavar="NAME",
    required=True,
    help="Module to run: its import name, without .py.",
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
    default=1,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Worker processes.",
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
    help="Write addresses and process ids there, as JSON, once the application is ready.",
)
@click.option(
    "--control",
    "control_address",
    metavar="H:P",
    default="127.0.0.1:0",
    show_default=True,
    help="Where the initializer listens for its workers.",
)
@click.option(
    "--sink-timeout",
    "sink_timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="Stop with status 1 when a sink is away for so long.  [default: no limit]",
)
@click.option(
    "--on-error",
    type=click.Choice(["dead-letter", "stop"]),
    default="dead-letter",
    show_default=True,
    help="What an error in the application's functions does with the record, or the run.",
)
@click.option(
    "--dead-letters",
    metavar="DIR",
    default="dead-letters",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Where records that failed are kept, as JSON lines.",
)
@click.option(
    "--no-restart",
    is_flag=True,
    help="Stop with status 1 when a worker is lost, in place of starting it again.",
)
@click.option(
    "--max-frame-bytes",
    "frame_bytes_max",
    metavar="BYTES",
    default=16 << 20,
    show_default=True,
    type=click.IntRange(1, FRAME_BYTES_MAX_ALLOWED),
    help="Longest payload a source takes; a longer one closes its connection.",
)
@click.option(
    "--exchange",
    type=click.Choice(["auto", "payloads", "objects"]),
    default="auto",
    show_default=True,
    help="What travels between workers where the payload may: payloads, to be decoded again, "
    "objects, or what is measured to be cheaper.",
)
@click.option("--debug", is_flag=True, help="Log details, and show full tracebacks.")
@click.argument("application_arguments", nargs=-1, type=click.UNPROCESSED)
@report_errors
def main(  # noqa: PLR0913  one parameter for each option
    *,
    application_module: str,
    paths: tuple[str, ...],
    worker_count: int,
    plan_form: str | None,
    ready_file: str | None,
    control_address: str,
    sink_timeout_s: float | None,
    on_error: str,
    dead_letters: str,
    no_restart: bool,
    frame_bytes_max: int,
    exchange: str,
    debug: bool,
    application_arguments: tuple[str, ...],
) -> None:
    """Run an application on worker processes of this machine until Ctrl-C."""
    configure_logs("initializer", debug=debug)
    _warn_of_misspelled(application_arguments)
    application = ApplicationSettings(
        module=application_module,
        paths=[os.getcwd(), *(os.path.abspath(path) for path in paths)],
        arguments=[sys.argv[0], *application_arguments],
    )
    plan = _loaded(application, debug=debug)
    if plan_form is not None:
        click.echo(plan_dot(plan) if plan_form == "dot" else plan_text(plan))
        return
    options = RunOptions(
        frame_bytes_max=frame_bytes_max,
        sink_timeout_s=sink_timeout_s,
        stop_on_error=on_error == "stop",
        dead_letters=os.path.abspath(dead_letters),
        exchange=exchange,
        debug=debug,
    )
    settings = ClusterSettings(
        application=application,
        options=options,
        worker_count=worker_count,
        control_address=control_address,
        ready_file=ready_file,
        may_restart=not no_restart,
    )
    uvloop.run(_run(settings, plan))


def _loaded(application: ApplicationSettings, *, debug: bool) -> Plan:
    try:
        return load_plan(application)
    except WallarooError:
        if debug:
            log.exception("application.not_loaded")
        raise


async def _run(settings: ClusterSettings, plan: Plan) -> None:
    await Cluster(settings, plan, LocalPlacement()).run()


def _warn_of_misspelled(arguments: tuple[str, ...]) -> None:
    """An option that is not ours goes to the application; one that is nearly ours is suspicious."""
    ours = [name for parameter in main.params for name in parameter.opts if name.startswith("--")]
    for argument in arguments:
        name = argument.split("=")[0]
        if name.startswith("--") and (near := difflib.get_close_matches(name, ours, 1, 0.8)):
            log.warning("option.passed_on", option=name, to="the application", did_you_mean=near[0])


if __name__ == "__main__":
    main()
