"""wallaroo-cluster external: each message as it goes out, each answer as it is shown."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from tests.cli.loopback import unused_address
from wallaroo.wire.external import ExternalId, ExternalMessage, decode_external, encode_external
from wallaroo_cli.original.client import MESSAGES, external

WAIT_S = 10.0


class Worker:
    """Receives one message, sends ``answer`` and closes the connection."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.heard: ExternalMessage | None = None
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(WAIT_S)
            data = connection.recv(65536)
            self.heard = decode_external(data[4:])
            connection.sendall(self._answer)


@contextlib.contextmanager
def worker(answer: ExternalMessage | bytes = b"") -> Iterator[Worker]:
    listening = Worker(answer if isinstance(answer, bytes) else encode_external(answer))
    listening.thread.start()
    try:
        yield listening
    finally:
        listening.thread.join(WAIT_S)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(external, arguments)


def test_every_message_that_a_worker_takes_can_be_sent() -> None:
    answers = {each for each in ExternalId if each.name.endswith(("RESPONSE", "INITIALIZED"))}
    assert set(MESSAGES.values()) == set(ExternalId) - answers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["print", "-m", "hello"], ExternalMessage(ExternalId.PRINT, "hello")),
        (["rotate-log", "--text", "worker1"], ExternalMessage(ExternalId.ROTATE_LOG, "worker1")),
        (["clean-shutdown"], ExternalMessage(ExternalId.CLEAN_SHUTDOWN)),
        (
            ["boundary-count-status"],
            ExternalMessage(ExternalId.REPORT_STATUS, "boundary-count-status"),
        ),
    ],
)
def test_what_has_no_answer_is_not_waited_for(
    arguments: list[str], message: ExternalMessage
) -> None:
    with worker() as listening:
        result = run(*arguments, "--external", listening.address)
    assert (result.exit_code, result.output) == (0, "")
    assert listening.heard == message


def test_the_answer_to_a_query_is_shown() -> None:
    answer = ExternalMessage(ExternalId.SOURCE_IDS_QUERY_RESPONSE, '{"source_ids":["7"]}')
    with worker(answer) as listening:
        result = run("source-ids-query", "-e", listening.address, "--json")
    assert result.output == '{"source_ids": ["7"]}\n'
    assert listening.heard == ExternalMessage(ExternalId.SOURCE_IDS_QUERY)
    with worker(answer) as listening:
        result = run("source-ids-query", "-e", listening.address)
    assert json.loads(result.output) == {"source_ids": ["7"]}
    assert len(result.output.splitlines()) == 5


def test_a_cluster_that_is_not_there_yet_processes_nothing() -> None:
    with worker(ExternalMessage(ExternalId.CLUSTER_STATUS_NOT_INITIALIZED)) as listening:
        result = run("cluster-status-query", "-e", listening.address, "--json")
    assert result.output == '{"processing_messages": false}\n'


@pytest.mark.parametrize(
    ("option", "request_values"),
    [
        (["--query"], {"query": True, "node_names": [], "node_count": 0}),
        (["--count", "2"], {"query": False, "node_names": [], "node_count": 2}),
        (["--workers", "a,b"], {"query": False, "node_names": ["a", "b"], "node_count": 2}),
    ],
)
def test_shrinking_is_asked_for_in_three_ways(
    option: list[str], request_values: dict[str, object]
) -> None:
    answer = ExternalMessage(ExternalId.SHRINK_RESPONSE, "Shrinking by 2 workers!")
    with worker(answer) as listening:
        result = run("shrink", "-e", listening.address, *option)
    assert result.output == "Shrinking by 2 workers!\n"
    assert listening.heard is not None
    assert json.loads(listening.heard.text) == request_values


@pytest.mark.parametrize(
    "options", [[], ["--query", "--count", "1"], ["--workers", "a", "--query"]]
)
def test_shrinking_is_asked_for_in_one_way_at_a_time(options: list[str]) -> None:
    result = run("shrink", "-e", "127.0.0.1:1", *options)
    assert result.exit_code == 2
    assert "exactly one of --workers, --count and --query" in result.stderr


@pytest.mark.parametrize("text", ["Invalid shrink targets!", "Cannot shrink 0 workers!"])
def test_shrinking_that_is_refused_is_the_status_1(text: str) -> None:
    with worker(ExternalMessage(ExternalId.SHRINK_RESPONSE, text)) as listening:
        result = run("shrink", "-e", listening.address, "--workers", "nobody")
    assert (result.exit_code, result.stdout) == (1, f"{text}\n")


def test_who_may_leave_is_asked_of_shrink_only() -> None:
    result = run("partition-query", "-e", "127.0.0.1:1", "--query")
    assert "belong to shrink, not to partition-query" in result.stderr


def test_a_worker_that_closes_the_connection_is_reported() -> None:
    with worker() as listening:
        result = run("partition-query", "-e", listening.address)
    assert result.exit_code == 1
    assert "closed the connection without an answer" in result.stderr


def test_an_address_without_a_listener_is_reported() -> None:
    address = unused_address()
    result = run("partition-query", "-e", address)
    assert result.exit_code == 1
    assert f"the external channel at {address} cannot be asked" in result.stderr
