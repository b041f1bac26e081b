"""wallaroo-cluster external: say something on the original's external channel of a worker."""

import json
import socket
from typing import Any

import click

from wallaroo.errors import ClusterError, ConfigError, ProtocolError
from wallaroo.wire.external import (
    LENGTH,
    TEXT_BYTES_MAX,
    WITHOUT_ANSWER,
    ExternalId,
    ExternalMessage,
    decode_external,
    encode_external,
)
from wallaroo_cli.errors import report_errors
from wallaroo_cli.original.tool import OriginalTool
from wallaroo_cli.tools.addresses import Address, parse_address

TIMEOUT_S = 30.0

MESSAGES = {
    "print": ExternalId.PRINT,
    "rotate-log": ExternalId.ROTATE_LOG,
    "clean-shutdown": ExternalId.CLEAN_SHUTDOWN,
    "shrink": ExternalId.SHRINK_REQUEST,
    "partition-query": ExternalId.PARTITION_QUERY,
    "cluster-status-query": ExternalId.CLUSTER_STATUS_QUERY,
    "partition-count-query": ExternalId.PARTITION_COUNT_QUERY,
    "source-ids-query": ExternalId.SOURCE_IDS_QUERY,
    "boundary-count-status": ExternalId.REPORT_STATUS,
    "state-entity-query": ExternalId.STATE_ENTITY_QUERY,
    "stateless-partition-query": ExternalId.STATELESS_PARTITION_QUERY,
    "state-entity-count-query": ExternalId.STATE_ENTITY_COUNT_QUERY,
    "stateless-partition-count-query": ExternalId.STATELESS_PARTITION_COUNT_QUERY,
    "cluster-state-entity-count-query": ExternalId.CLUSTER_STATE_ENTITY_COUNT_QUERY,
}
"""By the word that the command takes."""

SHRINKS = "Shrinking by "
"""How the answer to a shrink request begins that is not refused."""
NOT_INITIALIZED = '{"processing_messages": false}'


EPILOG = "Messages: " + ", ".join(MESSAGES) + "."


@click.command(
    "external",
    cls=OriginalTool,
    short_help="Ask a worker of the original's command line.",
    epilog=EPILOG,
)
@click.argument("message", metavar="MESSAGE", type=click.Choice(list(MESSAGES)))
@click.option(
    "--external",
    "-e",
    "address",
    metavar="H:P",
    required=True,
    help="The worker's external channel, as its --external says.",
)
@click.option("--text", "-m", default="", help="What to print, or the worker whose log to rotate.")
@click.option("--workers", metavar="W,W", default="", help="shrink: the workers that are to leave.")
@click.option("--count", metavar="N", type=click.IntRange(1), help="shrink: how many may leave.")
@click.option("--query", is_flag=True, help="shrink: tell who may leave, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer's JSON on one line.")
@report_errors
def external(
    message: str,
    address: str,
    text: str,
    workers: str,
    count: int | None,
    query: bool,
    as_json: bool,
) -> None:
    """Send one MESSAGE to a worker that runs under the original's command line."""
    kind = MESSAGES[message]
    is_choice = [bool(workers), count is not None, query]
    if kind is ExternalId.SHRINK_REQUEST:
        if sum(is_choice) != 1:
            raise ConfigError("shrink takes exactly one of --workers, --count and --query")
        names = [name for name in workers.split(",") if name]
        values = {"query": query, "node_names": names, "node_count": count or len(names)}
        text = json.dumps(values)
    elif any(is_choice):
        raise ConfigError(f"--workers, --count and --query belong to shrink, not to {message}")
    if kind is ExternalId.REPORT_STATUS:
        text = message
    answer = converse(parse_address(address, "--external"), ExternalMessage(kind, text))
    if answer is not None:
        click.echo(_shown(answer, as_json=as_json))
        if answer.id is ExternalId.SHRINK_RESPONSE and not answer.text.startswith(SHRINKS):
            raise SystemExit(1)


def converse(address: Address, message: ExternalMessage) -> ExternalMessage | None:
    """Send ``message``; return the answer, ``None`` where there is none to wait for.

    Raises ``ClusterError`` if the worker cannot be reached or closes the connection.
    """
    try:
        with socket.create_connection((address.host, address.port), TIMEOUT_S) as connection:
            connection.sendall(encode_external(message))
            if message.id in WITHOUT_ANSWER:
                return None
            (length,) = LENGTH.unpack(_received(connection, LENGTH.size))
            if length > TEXT_BYTES_MAX:
                raise ProtocolError(f"an answer of {length} bytes is announced")
            return decode_external(_received(connection, length))
    except OSError as error:
        raise ClusterError(
            f"the external channel at {address} cannot be asked: {error}",
            hint="give the address that the worker was given with --external",
        ) from error


def _received(connection: socket.socket, byte_count: int) -> bytes:
    received = bytearray()
    while len(received) < byte_count:
        piece = connection.recv(min(65536, byte_count - len(received)))
        if not piece:
            raise ClusterError(
                "the worker closed the connection without an answer",
                hint="its log says why; before the cluster is ready only its status can be asked",
            )
        received += piece
    return bytes(received)


def _shown(answer: ExternalMessage, *, as_json: bool) -> str:
    if answer.id is ExternalId.SHRINK_RESPONSE:
        return answer.text
    text = answer.text
    if answer.id is ExternalId.CLUSTER_STATUS_NOT_INITIALIZED:
        text = NOT_INITIALIZED
    values: Any = json.loads(text)
    return json.dumps(values) if as_json else json.dumps(values, indent=2)
