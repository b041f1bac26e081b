"""Addresses as people type them: ``host:port``, with IPv6 hosts in brackets."""

from collections.abc import Iterable
from dataclasses import dataclass

from wallaroo.errors import ConfigError

PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A place that TCP can connect to or listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, option: str) -> Address:
    """Return the address in ``text``; ``option`` is where the user wrote it."""
    host, _, port = text.strip().rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    is_port = port.isascii() and port.isdigit() and int(port[:6]) <= PORT_MAX
    if not host.strip("[]") or not is_port or (":" in host and not is_bracketed):
        raise ConfigError(
            f"{option} {text!r} is not an address",
            hint="give host:port, for example 127.0.0.1:7010 or [::1]:7010",
        )
    return Address(host[1:-1] if is_bracketed else host, int(port))


def parse_addresses(texts: Iterable[str], option: str) -> tuple[Address, ...]:
    """Return all addresses in ``texts``, each of which may be a list with commas."""
    names = [name for text in texts for name in text.split(",") if name.strip()]
    return tuple(parse_address(name, option) for name in names)
