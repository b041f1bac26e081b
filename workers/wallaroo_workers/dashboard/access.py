"""Access to the page: the host names under which browsers may open it, and the secret.

A foreign web page can make a browser send requests to any address. If it points a host name of its
own at this machine (DNS rebinding), it can even read the answers. Such requests carry the foreign
name as their host or origin, and are refused for that reason.
"""

import hmac
import ipaddress
from urllib.parse import urlsplit

BEARER = "Bearer "


class Access:
    """The rules for one listening address."""

    def __init__(self, listen_host: str, names: tuple[str, ...], secret: bytes) -> None:
        self._listen_host = listen_host
        self._names = {"localhost", *(name.lower() for name in names)}
        self._tokens = (secret.hex().encode(), secret)
        self.reading_is_open = is_loopback(listen_host)
        """Whether reading needs no secret."""

    def knows_host(self, host: str | None) -> bool:
        """Return whether the request's ``Host`` is one of ours; ports are not compared."""
        name = _host_name(f"//{host}") if host else None
        if name is None:
            return False
        if name in self._names or name == self._listen_host.lower():
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An attacker can point a name of his own at this machine, but not one of our addresses.
        return address.is_loopback or is_any_address(self._listen_host)

    def is_same_origin(self, origin: str | None, host: str | None) -> bool:
        """Return whether a request is from our own page, or from a program without an origin."""
        return origin is None or (host is not None and urlsplit(origin).netloc == host)

    def has_secret(self, authorization: str | None) -> bool:
        """Return whether the ``Authorization`` header has the secret, plain or in hexadecimal."""
        if authorization is None or not authorization.startswith(BEARER):
            return False
        token = authorization.removeprefix(BEARER).strip().encode()
        # Both are always compared, so that the time does not depend on the secret.
        matches = [hmac.compare_digest(token, expected) for expected in self._tokens]
        return any(matches)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listening address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_any_address(host: str) -> bool:
    """Return whether listening there means listening on all addresses of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host


def _host_name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
