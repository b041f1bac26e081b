"""Proof of the cluster's secret, both ways, before anything else is read from a connection.

    dialer    -> listener   MAGIC (8) | nonce (32)
    listener  -> dialer     MAGIC (8) | nonce (32) | proof (32)
    dialer    -> listener   proof (32)

A proof is HMAC-SHA-256 over the side, the purpose of the connection and both nonces, keyed with
the secret. So a proof cannot be used again, mirrored, or moved from a control connection to a data
connection. Every part has a fixed length: nothing is parsed before the secret is proven.
"""

import enum
import hashlib
import hmac

from wallaroo.errors import OtherProtocolError, OtherSecretError, ProtocolError

MAGIC = b"WALLAR\x00\x02"
"""Six letters and the version of the protocol."""
TLS_BEGINS = (b"\x16\x03", b"\x15\x03")
"""The first bytes of a TLS handshake, and of a TLS alert."""
NONCE_BYTES = 32
PROOF_BYTES = 32
DIALER_OPENING_BYTES = len(MAGIC) + NONCE_BYTES
LISTENER_OPENING_BYTES = DIALER_OPENING_BYTES + PROOF_BYTES


class Purpose(enum.Enum):
    """What a connection is for."""

    CONTROL = b"control"
    DATA = b"data"
    HAND_OVER = b"hand over"


class Side(enum.Enum):
    """The side that opened the connection, and the side that listened."""

    DIALER = b"dialer"
    LISTENER = b"listener"


class Handshake:
    """One side of the handshake; ``is_done`` is set once the other side has proven the secret.

    Call ``first_bytes`` once at the start and ``receive_data`` with all that arrives; both return
    what to send. Afterwards ``rest`` holds the bytes that arrived after the handshake.
    """

    def __init__(self, side: Side, purpose: Purpose, secret: bytes, nonce: bytes) -> None:
        assert len(nonce) == NONCE_BYTES
        self._side = side
        self._purpose = purpose
        self._secret = secret
        self._nonce = nonce
        self._peer_nonce: bytes | None = None
        self._received = b""
        self.is_done = False

    def first_bytes(self) -> bytes:
        """Return what to send at once."""
        return MAGIC + self._nonce if self._side is Side.DIALER else b""

    @property
    def rest(self) -> bytes:
        """Bytes that arrived after the handshake."""
        assert self.is_done
        return self._received

    def receive_data(self, data: bytes) -> bytes:
        """Process bytes of the peer; return the answer.

        Raises ``ProtocolError`` if the peer does not prove the secret.
        """
        self._received += data
        if self._side is Side.DIALER:
            return self._receive_as_dialer()
        return self._receive_as_listener()

    def _receive_as_dialer(self) -> bytes:
        opening = self._take(len(MAGIC) + NONCE_BYTES + PROOF_BYTES)
        if opening is None:
            return b""
        self._read_opening(opening)
        self._check(opening[len(MAGIC) + NONCE_BYTES :], Side.LISTENER)
        self.is_done = True
        return self._proof(Side.DIALER)

    def _receive_as_listener(self) -> bytes:
        answer = b""
        if self._peer_nonce is None:
            opening = self._take(len(MAGIC) + NONCE_BYTES)
            if opening is None:
                return b""
            self._read_opening(opening)
            answer = MAGIC + self._nonce + self._proof(Side.LISTENER)
        proof = self._take(PROOF_BYTES)
        if proof is not None:
            self._check(proof, Side.DIALER)
            self.is_done = True
        return answer

    def _take(self, byte_count: int) -> bytes | None:
        # Refuse another protocol by its first bytes, before it has sent a whole opening.
        if self._peer_nonce is None and not MAGIC.startswith(self._received[: len(MAGIC)]):
            if self._received.startswith(TLS_BEGINS):
                raise ProtocolError(
                    "the peer speaks TLS, and this side does not",
                    hint="give --tls-cert, --tls-key and --tls-ca on every host, or on none",
                )
            raise OtherProtocolError(
                "the peer does not speak this release's protocol",
                hint="run the same release of wallaroo-streams on every host",
            )
        if len(self._received) < byte_count:
            return None
        taken, self._received = self._received[:byte_count], self._received[byte_count:]
        return taken

    def _read_opening(self, opening: bytes) -> None:
        self._peer_nonce = opening[len(MAGIC) : len(MAGIC) + NONCE_BYTES]
        if self._peer_nonce == self._nonce:
            raise ProtocolError("the peer sent our own nonce back")

    def _proof(self, side: Side) -> bytes:
        assert self._peer_nonce is not None
        mine, theirs = self._nonce, self._peer_nonce
        nonces = mine + theirs if self._side is Side.DIALER else theirs + mine
        text = side.value + b"|" + self._purpose.value + b"|" + nonces
        return hmac.new(self._secret, text, hashlib.sha256).digest()

    def _check(self, proof: bytes, side: Side) -> None:
        if not hmac.compare_digest(proof, self._proof(side)):
            raise OtherSecretError(
                "the peer does not know this cluster's secret",
                hint="it belongs to another run, or was given another secret",
            )
