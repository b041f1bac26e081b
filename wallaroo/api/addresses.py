"""Addresses of sources and sinks from the command line."""

from collections.abc import Sequence
from typing import Any

from wallaroo.errors import WallarooParameterError

PORT_MAX = 65535


def tcp_parse_input_addrs(args: Sequence[str]) -> list[tuple[str, str]]:
    """Return host and port of each address in ``-i``/``--in H1:P1,H2:P2``.

    An address with the name of its source, ``NAME@HOST:PORT``, gives a triple: name, host and port.
    ``args`` are the arguments of ``application_setup``; other options in it are ignored, and of
    several ``--in`` the last one counts. Raises ``WallarooParameterError`` if the option is
    missing, or if an address is malformed.
    """
    return _addresses(args, "-i", "--in", "127.0.0.1:7010", may_have_name=True)


def tcp_parse_output_addrs(args: Sequence[str]) -> list[tuple[str, str]]:
    """Return host and port of each address in ``-o``/``--out H1:P1,H2:P2``.

    Otherwise it is the same as ``tcp_parse_input_addrs``; sinks have no names here.
    """
    return _addresses(args, "-o", "--out", "127.0.0.1:7002")


def parse_port(port: object) -> int | None:
    """Return a port from 0 on, given as ``7010`` or ``"7010"``; ``None`` if it is not a port."""
    if isinstance(port, str) and port.isascii() and port.isdecimal():
        port = int(port) if len(port) <= len(str(PORT_MAX)) else None
    if isinstance(port, bool) or not isinstance(port, int):
        return None
    return port if 0 <= port <= PORT_MAX else None


def is_host(host: str) -> bool:
    """Return whether ``host`` looks like a name or an address; IPv6 needs brackets."""
    forbidden = "[],:"
    if host.startswith("[") and host.endswith("]"):
        host, forbidden = host[1:-1], "[],"
    return bool(host) and not any(mark.isspace() or mark in forbidden for mark in host)


def _addresses(
    args: Sequence[str], short: str, long: str, example: str, *, may_have_name: bool = False
) -> list[tuple[str, str]]:
    option = f"{short}/{long}"
    text = _option_value(args, short, long)
    if text is None:
        raise WallarooParameterError(f"the option {option} is missing; give it as {long} {example}")
    addresses: list[Any] = []
    for address in text.split(","):
        name, at, bare = address.strip().rpartition("@") if may_have_name else ("", "", address)
        host, _, port = bare.strip().rpartition(":")
        form = "NAME@HOST:PORT" if at else "HOST:PORT"
        if not is_host(host) or parse_port(port) is None or (at and not name):
            raise WallarooParameterError(
                f"{option} has {address!r}, which is not {form}; give it as {long} {example}, "
                "several separated by commas"
            )
        addresses.append((name, host, port) if at else (host, port))
    # Applications that give names unpack three texts. A type for both would be of no use to those
    # that do not.
    return addresses


def _option_value(args: Sequence[str], short: str, long: str) -> str | None:
    """Return the value of the last occurrence; "" if nothing or another option follows it."""
    value = None
    for index, argument in enumerate(args):
        name, equals, attached = argument.partition("=")
        if name not in (short, long):
            continue
        following = args[index + 1] if index + 1 < len(args) else ""
        value = attached if equals else ("" if following.startswith("-") else following)
    return value
