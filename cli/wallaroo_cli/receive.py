"""``wallaroo-receiver``: receives the output of TCP sinks, and shows, stores or counts it."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.errors import report_errors
from wallaroo_cli.original.tool import OriginalTool
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.display import Display
from wallaroo_cli.tools.numbers import Number
from wallaroo_cli.tools.receiver import BUFFER_BYTES, FRAME_BYTES_MAX, Receiver, ReceiverConfig

EPILOG = """\b
Examples:
  Show the lines that a cluster sends:
    wallaroo-receiver --listen 127.0.0.1:7002
  Wait at most a minute for 1000 framed messages, and store them:
    wallaroo-receiver --listen 127.0.0.1:7002 --framed --expect 1000 --timeout 60 \\
      --output results.txt
"""


@click.command(
    cls=OriginalTool, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name=DISTRIBUTION)
@click.option(
    "-l",
    "--listen",
    "address",
    required=True,
    metavar="ADDR:PORT",
    help="Where to listen; port 0 takes a free port, which the first line on stderr names.",
)
@click.option(
    "-f",
    "--framed",
    is_flag=True,
    help="Messages have a 4-byte big-endian length: remove it and write each message as a line.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Write bytes as soon as they arrive; connections may then mix within a line.  "
    "[default: whole lines]",
)
@click.option("-o", "--output", metavar="FILE", help="Write to a new file.  [default: stdout]")
@click.option("-n", "--no-write", is_flag=True, help="Only count.")
@click.option(
    "-e",
    "--expect",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop when N messages have arrived over all connections: frames with --framed, else "
    "lines.  [default: run until Ctrl-C]",
)
@click.option(
    "--timeout",
    type=Number(),
    metavar="SECONDS",
    help="Stop with status 1 if --expect is not reached in this time.  [default: no limit]",
)
@click.option(
    "--max-frame-bytes",
    type=click.IntRange(min=1),
    default=FRAME_BYTES_MAX,
    show_default=True,
    metavar="BYTES",
    help="The longest frame with --framed; a longer one closes its connection.",
)
@click.option(
    "-b",
    "--buffer-size",
    type=click.IntRange(min=1),
    default=BUFFER_BYTES,
    show_default=True,
    metavar="BYTES",
    help="The largest number of bytes that is read at a time.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the totals as JSON on stdout; needs --no-write or --output.",
)
@report_errors
def main(**options: Any) -> None:
    """Accept any number of TCP connections and write what they send.

    Lines of different connections do not mix: an incomplete line waits for its newline (up to
    16 MiB) or for the end of its connection. After Ctrl-C or SIGTERM everything that has arrived is
    written. The status is then 0, or 1 if --expect was not reached or a connection sent bad frames.
    """
    if options["as_json"] and not options["no_write"] and options["output"] is None:
        raise click.UsageError(
            "--json needs --no-write or --output, because messages are written to stdout"
        )
    config = _config(options)
    # A progress line would disturb messages that are shown on the same terminal.
    is_shown = config.is_written and config.output_path is None and sys.stdout.isatty()
    with Display("receiving", config.expected_count, may_move=not is_shown) as display:
        receiver = Receiver(config, display)
        _stop_on_signals(receiver.stop)
        receiver.run()
        if receiver.is_reader_gone:
            return
        if options["as_json"]:
            click.echo(receiver.totals().json(connections=receiver.connection_count))
        else:
            display.line(receiver.describe())
    receiver.check()


def _config(options: dict[str, Any]) -> ReceiverConfig:
    return ReceiverConfig(
        address=parse_address(options["address"], "--listen"),
        is_framed=options["framed"],
        is_raw=options["raw"],
        is_written=not options["no_write"],
        output_path=options["output"],
        buffer_bytes=options["buffer_size"],
        frame_bytes_max=options["max_frame_bytes"],
        expected_count=options["expect"],
        timeout_s=options["timeout"],
    )


def _stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first Ctrl-C or SIGTERM; a second one ends the process immediately."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
