"""The receiver counts lines over all connections, and asks why when none come."""

import socket

import pytest

from tests.bench.receiver import Receiver


def connection_to(receiver: Receiver) -> socket.socket:
    host, _, port = receiver.address.rpartition(":")
    return socket.create_connection((host, int(port)))


def nothing() -> None:
    pass


def test_lines_of_all_connections_count() -> None:
    with Receiver() as receiver, connection_to(receiver) as one, connection_to(receiver) as other:
        one.sendall(b"1\n2\n")
        other.sendall(b"3\n")
        assert receiver.wait(3, nothing) >= 0.0


def test_a_line_that_came_too_early_counts_for_the_next_wait() -> None:
    with Receiver() as receiver, connection_to(receiver) as one:
        one.sendall(b"1\n2\n")
        receiver.wait(1, nothing)
        receiver.wait(1, nothing)


def test_it_asks_why_when_nothing_comes() -> None:
    def ended() -> None:
        raise RuntimeError("the cluster ended")

    with (
        Receiver() as receiver,
        connection_to(receiver) as one,
        pytest.raises(RuntimeError, match="ended"),
    ):
        one.sendall(b"no newline")
        receiver.wait(1, ended)
