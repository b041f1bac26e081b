"""``wallaroo-sender``: sends messages, from files or generated, to a cluster's TCP sources."""

from typing import Any

import click

from wallaroo_cli import DISTRIBUTION
from wallaroo_cli.errors import report_errors
from wallaroo_cli.original.tool import OriginalTool
from wallaroo_cli.tools.addresses import parse_addresses
from wallaroo_cli.tools.display import Display
from wallaroo_cli.tools.messages import Messages
from wallaroo_cli.tools.numbers import Number
from wallaroo_cli.tools.pacing import BATCH_SIZE, Pace, parse_interval
from wallaroo_cli.tools.sender import Sender, SenderConfig

EPILOG = """\b
Examples:
  Five million 9-byte records that contain their own header, at full speed:
    wallaroo-sender --host 127.0.0.1:7010 --file votes.bin --binary --msg-size 9 \\
      --repeat --messages 5_000_000
  The lines of a text file, 1000 a second:
    wallaroo-sender --host 127.0.0.1:7010 --file words.txt --rate 1000
"""


@click.command(cls=OriginalTool, epilog=EPILOG)
@click.version_option(package_name=DISTRIBUTION)
@click.option(
    "-h",
    "--host",
    "hosts",
    multiple=True,
    required=True,
    metavar="HOST:PORT",
    help="Where to send; repeat it or give a list with commas to send to several in turn.",
)
@click.option(
    "-m",
    "--messages",
    "message_count",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many messages to send. Required, except with --file and without --repeat, which "
    "sends the whole file.",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE,…",
    help="Files to send, one after another; repeat it or give a list with commas. In a text file "
    "each line that is not empty is a message. Without files, send integers as text, from 1 up.",
)
@click.option("-r", "--repeat", is_flag=True, help="Start again with the first file at the end.")
@click.option(
    "-y",
    "--binary",
    is_flag=True,
    help="Files are binary; needs --msg-size or --variable-size.",
)
@click.option(
    "-g",
    "--msg-size",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Binary records of one size, sent unchanged: they contain their own header.",
)
@click.option(
    "-z",
    "--variable-size",
    is_flag=True,
    help="Binary records of a 4-byte big-endian length and a payload.",
)
@click.option(
    "-u",
    "--u64",
    is_flag=True,
    help="Integers as 8 bytes, big-endian, instead of text.",
)
@click.option(
    "-v",
    "--start-from",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Integers start with N+1.",
)
@click.option(
    "-p",
    "--partition",
    default="",
    metavar="TEXT",
    help="Appended to each integer of --u64.",
)
@click.option(
    "-i",
    "--interval",
    metavar="TIME",
    help="Time between two batches: nanoseconds, or with a unit: 250us, 5ms, 1s.  "
    "[default: none, full speed]",
)
@click.option(
    "--rate",
    type=Number(),
    metavar="N",
    help="Messages a second, instead of --interval.  [default: full speed]",
)
@click.option(
    "-s",
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Messages a batch, for --interval and --rate; full speed has no batches.  "
    f"[default: {BATCH_SIZE}; with --rate what is due each millisecond]",
)
@click.option(
    "-j",
    "--vary-by",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Add 0 to N-1 messages to each batch, chosen at random every 1000 batches.",
)
@click.option("--seed", type=int, metavar="N", help="Make --vary-by choose the same numbers.")
@click.option(
    "--write",
    "log_path",
    metavar="FILE",
    help="File to write 'wall-clock nanoseconds, payload' to for each message.  [default: none]",
)
@click.option(
    "-w",
    "--no-write",
    is_flag=True,
    help="Accepted for old command lines; without --write nothing is written anyway.",
)
@click.option(
    "--connect-timeout",
    type=Number(above_zero=False),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try to connect to a host.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the totals as JSON on stdout.")
@report_errors
def main(**options: Any) -> None:
    """Send messages over TCP, each framed by a 4-byte big-endian length.

    Messages are sent as fast as the receivers read them, or at a fixed rate; none is dropped. The
    exit status is 0 if all were delivered to the receivers' hosts, 1 if a receiver could not be
    reached or closed the connection, 2 for wrong options.
    """
    config = _config(options)
    with Display("sending", config.messages.count) as display:
        sender = Sender(config, display)
        try:
            sender.run()
        except KeyboardInterrupt:
            _summarize(sender, display, as_json=options["as_json"])
            raise
        _summarize(sender, display, as_json=options["as_json"])


def _config(options: dict[str, Any]) -> SenderConfig:
    interval = options["interval"]
    return SenderConfig(
        addresses=parse_addresses(options["hosts"], "--host"),
        messages=Messages(
            files=tuple(name for names in options["files"] for name in names.split(",")),
            count=options["message_count"],
            is_repeated=options["repeat"],
            is_binary=options["binary"],
            size=options["msg_size"],
            is_variable_size=options["variable_size"],
            is_u64=options["u64"],
            start_from=options["start_from"],
            partition=options["partition"],
        ),
        pace=Pace(
            batch_size=options["batch_size"],
            interval_s=None if interval is None else parse_interval(interval),
            rate=options["rate"],
            vary_by=options["vary_by"],
            seed=options["seed"],
        ),
        connect_timeout_s=options["connect_timeout"],
        log_path=options["log_path"],
    )


def _summarize(sender: Sender, display: Display, *, as_json: bool) -> None:
    if as_json:
        click.echo(sender.totals().json())
    else:
        display.line(f"sent {sender.totals().describe()}")
