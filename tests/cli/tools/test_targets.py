import socket
import threading

import pytest

from tests.cli.loopback import Sink, unused_address
from wallaroo.errors import ClusterError
from wallaroo_cli.tools.addresses import parse_address
from wallaroo_cli.tools.blocks import FixedBlock
from wallaroo_cli.tools.targets import Target, connect

BLOCK = FixedBlock(bytes(9_000_000), 9)


def test_a_block_arrives_whole_however_large_it_is() -> None:
    with Sink() as sink:
        target = connect(parse_address(sink.address, "--host"), 5)
        target.send(BLOCK)
        target.finish()
    assert len(sink.received[0]) == 9_000_000
    assert (target.message_count, target.byte_count) == (1_000_000, 9_000_000)


def test_nobody_listening_is_told_with_host_and_time() -> None:
    address = unused_address()
    with pytest.raises(ClusterError, match=rf"cannot connect to {address} within 0\.1 s: Conn"):
        connect(parse_address(address, "--host"), 0.1)


def test_an_unknown_host_is_not_tried_again() -> None:
    with pytest.raises(ClusterError, match=r"cannot connect to no\.such\.host\.invalid:1: "):
        connect(parse_address("no.such.host.invalid:1", "--host"), 3600)


def test_a_receiver_that_starts_late_is_waited_for() -> None:
    address = parse_address(unused_address(), "--host")
    connected: list[Target] = []
    connecting = threading.Thread(target=lambda: connected.append(connect(address, 30)))
    connecting.start()
    with socket.create_server((address.host, address.port)):
        connecting.join(30)
        connected[0].close()


def test_a_lost_receiver_is_told_with_what_it_was_handed() -> None:
    with Sink(read_count=100_000) as sink:
        target = connect(parse_address(sink.address, "--host"), 5)
        with pytest.raises(ClusterError) as caught:
            target.send(BLOCK)
        target.close()
    assert 0 < target.message_count < 1_000_000
    assert f"{sink.address} closed the connection" in caught.value.what
    assert f"after {target.message_count:,} messages" in caught.value.what


def test_what_the_receiver_said_does_not_cost_it_our_last_messages() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = connect(parse_address(f"127.0.0.1:{listener.getsockname()[1]}", "--host"), 5)
        accepted, _ = listener.accept()
        accepted.sendall(b"unread words")
        target.send(FixedBlock(bytes(900), 9))
        target.finish()
        accepted.settimeout(30)
        received = 0
        while piece := accepted.recv(4096):
            received += len(piece)
        accepted.close()
    assert received == 900
