"""TLS for connections inside a cluster: version 1.3, and both sides present a certificate.

The cluster's own authority signs the certificates of its hosts, and any peer that presents one of
them belongs to the cluster. The name in a certificate is not checked: workers dial the addresses
that the initializer gives them, and these may be behind address translation. Authority and secret
together replace the name check of the web, so use an authority that signs nothing else.
"""

import ssl
from dataclasses import dataclass

from wallaroo.errors import ConfigError, ProtocolError

READ_BYTES = 1 << 18
WRITE_BYTES = 1 << 24
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""A TLS record that reports a failed handshake, for the cases in which OpenSSL sends none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths of PEM files on this host."""

    certificate: str
    key: str
    authority: str


class Tls:
    """The TLS contexts for both sides of a connection, read from the files once.

    Raises ``ConfigError`` if a file cannot be used.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.dialing = _context(ssl.PROTOCOL_TLS_CLIENT, files)
        self.listening = _context(ssl.PROTOCOL_TLS_SERVER, files)


def page_server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context that serves the page: browsers check our certificate and present none.

    Raises ``ConfigError`` if a file cannot be used.
    """
    context = _plain_context(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_NONE
    _load(context, files)
    return context


def page_client_context(authority: str) -> ssl.SSLContext:
    """Return the context for requests to a page whose certificate this authority has signed.

    Raises ``ConfigError`` if the file cannot be used.
    """
    context = _plain_context(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, TlsFiles(certificate="", key="", authority=authority))
    return context


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    context = _plain_context(protocol)
    _load(context, files)
    return context


def _plain_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        # Connections are long-lived, so session tickets bring nothing: a ticket is one more secret
        # that can be stolen, and one more object to keep for each short-lived client.
        context.num_tickets = 0
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the authority, and the certificate if there is one."""
    option, path = "--tls-ca", files.authority
    try:
        context.load_verify_locations(path)
        option, path = "--tls-cert and --tls-key", f"{files.certificate} and {files.key}"
        if files.certificate:
            # Without a password callback OpenSSL would prompt for it on the terminal.
            context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"{option}: {path} cannot be used: {error.reason or error}",
            hint="give PEM files: a certificate, its unencrypted key, and the authority "
            "that signed it; `wallaroo-cluster certificates DIR --hosts A,B` creates such files",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{option}: {path} cannot be read: {error.strerror}",
            hint="correct the path, or allow the user of this process to read the file",
        ) from error


class TlsStream:
    """One end of a connection: encrypted bytes on one side, plain ones on the other; no I/O.

    After each call ``take_bytes`` returns the bytes to send. Only complete TLS records are
    decrypted, so at most one record (16 KiB) of an unauthenticated peer is buffered.
    """

    def __init__(self, tls: Tls, *, is_listening: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = tls.listening if is_listening else tls.dialing
        self._end = context.wrap_bio(self._incoming, self._outgoing, server_side=is_listening)
        self.is_open = False
        """Whether both certificates are accepted, as far as this side knows."""

    def start(self) -> None:
        """Start the handshake; the dialing side has bytes to send."""
        self._shake_hands()

    def receive_data(self, data: bytes) -> bytes:
        """Return the decrypted content of bytes that the peer sent.

        Raises ``ProtocolError`` for a peer without a certificate of the cluster. The caller then
        sends ``last_bytes``, which report the reason to the peer.
        """
        self._incoming.write(data)
        if not self.is_open:
            self._shake_hands()
        if not self.is_open:
            return b""
        plain: list[bytes] = []
        try:
            while chunk := self._end.read(READ_BYTES):
                plain.append(chunk)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # everything is read; a peer that ends TLS also closes the connection
        except ssl.SSLError as error:
            raise _refusal(error) from error
        return b"".join(plain)

    def write(self, data: bytes) -> None:
        """Encrypt ``data``; allowed only if ``is_open``."""
        view = memoryview(data)
        while view:
            view = view[self._end.write(view[:WRITE_BYTES]) :]

    def take_bytes(self) -> bytes:
        """Return the bytes to send now."""
        return self._outgoing.read()

    def last_bytes(self) -> bytes:
        """Return the bytes to send after an error."""
        return self._outgoing.read() or ALERT

    def _shake_hands(self) -> None:
        try:
            self._end.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise _refusal(error) from error
        self.is_open = True


def _refusal(error: ssl.SSLError) -> ProtocolError:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the peer's certificate is rejected: {error.verify_message}"
        hint = "give each host a certificate of this cluster's authority that has not expired"
    elif error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        what = "the peer does not speak TLS"
        hint = "give --tls-cert, --tls-key and --tls-ca on every host, or on none"
    elif error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        what = "the peer presents no certificate"
        hint = "give --tls-cert and --tls-key on its host"
    elif error.reason and "ALERT" in error.reason:
        said = error.reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        what = f"the peer rejects our certificate: {said}"
        hint = "see the peer's log for the reason"
    else:
        what = f"TLS with the peer failed: {error.reason or error}"
        hint = ""
    return ProtocolError(what, hint)
