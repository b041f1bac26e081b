"""Access to a cluster: where its secret comes from, and when TLS is required."""

import ipaddress
import os
import socket
import stat

from wallaroo.errors import ConfigError

SECRET_VARIABLE = "WALLAROO_SECRET"
SECRET_BYTES_MIN = 16
SECRET_BYTES_MAX = 4096

HINT_SECRET = (
    "create one with `head -c 32 /dev/urandom | base64 > secret && chmod 600 secret` and give the "
    "same file to every host"
)
HINT_TLS = (
    "give all hosts the same secret, and each a certificate: `wallaroo-cluster certificates DIR "
    "--hosts A,B` creates them; see docs/security.md"
)


def load_secret(path: str | None) -> bytes | None:
    """Return the secret in a file, or else in the environment; ``None`` if there is neither.

    White space around it is ignored. The secret is removed from the environment, so that programs
    that an application starts do not inherit it. Raises ``ConfigError``.
    """
    text = os.environ.pop(SECRET_VARIABLE, None)
    if path is not None:
        place, secret = f"the file {path}", _read(path)
    elif text is not None:
        place, secret = SECRET_VARIABLE, os.fsencode(text)
    else:
        return None
    secret = secret.strip()
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"the secret in {place} has {len(secret)} bytes; it needs {SECRET_BYTES_MIN}",
            hint=HINT_SECRET,
        )
    return secret


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & stat.S_IRWXO:
                raise ConfigError(
                    f"the secret in {path} is readable for every user of this host",
                    hint=f"run `chmod 600 {path}`; if others may have read it, create a new one",
                )
            secret = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"--secret-file: {path} cannot be read: {error.strerror}", hint=HINT_SECRET
        ) from error
    if len(secret) > SECRET_BYTES_MAX:
        raise ConfigError(
            f"--secret-file: {path} is longer than {SECRET_BYTES_MAX} bytes",
            hint=HINT_SECRET,
        )
    return secret


def check_exposure(
    option: str, host: str, *, has_secret: bool, has_tls: bool, hint: str = HINT_TLS
) -> None:
    """Raise ``ConfigError`` if other hosts can reach ``host`` without a user's secret and TLS.

    ``option`` is the command-line option that gave ``host``.
    """
    if is_loopback(host) or (has_secret and has_tls):
        return
    missing = []
    if not has_secret:
        missing.append(f"--secret-file (or {SECRET_VARIABLE})")
    if not has_tls:
        missing.append("--tls-cert, --tls-key and --tls-ca")
    raise ConfigError(
        f"{option} makes this host reachable from others ({host}) without {' and '.join(missing)}",
        hint=hint,
    )


def is_loopback(host: str) -> bool:
    """Return whether only this host can reach ``host``; for a name, all its addresses count."""

    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    return all(_is_loopback(str(where[0])) for *_, where in found)


def is_wildcard(host: str) -> bool:
    """Whether a host to listen at means all addresses."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
