"""A source address is one run's alone, from its first moment on and by whatever name."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest

from wallaroo.errors import ClusterError
from wallaroo_workers.initializer.resources.source_addresses import (
    AWAITED_S,
    ReservedAddress,
    reserve,
)
from wallaroo_workers.network.frames import split_address
from wallaroo_workers.sources.tcp import bound_socket


@contextlib.contextmanager
def reserved(address: str) -> Iterator[ReservedAddress]:
    held = ReservedAddress(address)
    try:
        yield held
    finally:
        held.release()


@pytest.fixture
def port() -> int:
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def check_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=f"listen at {address}: the port is in use by") as told:
        ReservedAddress(address)
    assert told.value.hint


def test_an_address_is_not_given_twice(port: int) -> None:
    with reserved(f"127.0.0.1:{port}"):
        check_refused(f"127.0.0.1:{port}")


def test_two_names_of_one_address_are_one_address(port: int) -> None:
    with reserved(f"127.0.0.1:{port}"):
        check_refused(f"localhost:{port}")


@pytest.mark.parametrize(("first", "second"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")])
@pytest.mark.parametrize("is_listened_at", [False, True], ids=["held", "listened at"])
def test_all_addresses_of_the_host_and_one_of_them_are_not_given_together(
    port: int, first: str, second: str, is_listened_at: bool
) -> None:
    with reserved(f"{first}:{port}") as held, contextlib.ExitStack() as worker:
        if is_listened_at:
            worker.enter_context(bound_socket(held.address)).listen()
        check_refused(f"{second}:{port}")


def test_two_addresses_of_the_host_are_given_together(port: int) -> None:
    with reserved(f"127.0.0.1:{port}"), reserved(f"127.0.0.2:{port}"):
        pass


def test_a_refused_address_leaves_nothing_behind(port: int) -> None:
    with reserved(f"0.0.0.0:{port}"):
        check_refused(f"127.0.0.1:{port}")
    with reserved(f"127.0.0.1:{port}"):
        pass


def test_a_released_address_can_be_taken_again(port: int) -> None:
    for _ in range(2):
        with reserved(f"127.0.0.1:{port}") as held:
            assert held.address == f"127.0.0.1:{port}"


def test_an_address_is_refused_where_another_program_listens_that_would_share_it() -> None:
    with bound_socket("127.0.0.1:0") as other:
        other.listen()
        check_refused(f"127.0.0.1:{other.getsockname()[1]}")


def test_connections_of_an_earlier_run_that_time_out_do_not_hold_an_address(port: int) -> None:
    address = f"127.0.0.1:{port}"
    with bound_socket(address) as earlier:
        earlier.setblocking(True)
        earlier.listen()
        with socket.create_connection(("127.0.0.1", port)) as sender:
            # The side that closes first keeps the address until nothing can be under way.
            earlier.accept()[0].close()
            assert sender.recv(1) == b""
    with socket.socket() as strict, pytest.raises(OSError) as told:
        strict.bind(("127.0.0.1", port))
    assert told.value.errno == errno.EADDRINUSE
    with reserved(address):
        check_refused(address)
        check_refused(f"0.0.0.0:{port}")


async def test_an_address_is_waited_for_that_workers_of_a_run_that_died_still_have(
    port: int,
) -> None:
    worker = bound_socket(f"127.0.0.1:{port}")
    worker.listen()
    asyncio.get_running_loop().call_later(0.1, worker.close)
    (await reserve(f"127.0.0.1:{port}")).release()


async def test_an_address_that_stays_in_use_is_refused_after_a_second(port: int) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with bound_socket(f"127.0.0.1:{port}") as other:
        other.listen()
        with pytest.raises(ClusterError, match="in use by another program"):
            await reserve(f"127.0.0.1:{port}")
    assert loop.time() - began_s >= AWAITED_S


def test_port_0_becomes_a_real_port_that_is_held_too() -> None:
    with reserved("127.0.0.1:0") as held:
        host, port = split_address(held.address)
        assert host == "127.0.0.1"
        assert port > 0
        check_refused(held.address)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_workers_of_the_run_listen_together_at_an_address_that_is_held(host: str) -> None:
    with (
        reserved(f"{host}:0") as held,
        bound_socket(held.address) as first,
        bound_socket(held.address) as second,
    ):
        for worker in (first, second):
            worker.listen()
        where = ("127.0.0.1", split_address(held.address)[1])
        assert first.getsockname()[1] == second.getsockname()[1] == where[1]
        # None is lost to the socket that only holds the address.
        for _ in range(20):
            with socket.create_connection(where, timeout=10):
                pass
        assert accepted_count(first) + accepted_count(second) == 20


def accepted_count(listener: socket.socket) -> int:
    """Accept all that wait; return how many they were."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count
