"""What any peer may send to a port that speaks TLS: below it, and inside of it."""

import random
import ssl
from pathlib import Path

from tests.fuzz.said import Inputs, Said, flipped
from tests.hosts.sites import make_certificates


class TlsInputs:
    """``others`` draws what is sent instead of TLS, and inside of it."""

    def __init__(self, seed: int, folder: Path, own: Path, others: Inputs) -> None:
        """``own`` has the cluster's certificates; those of another authority go to ``folder``."""
        self._chance = random.Random(seed)
        self._others = others
        foreign = make_certificates(folder / "foreign", "outsider")
        self._ends = {
            "no certificate": client_context(None),
            "another authority's certificate": client_context(foreign, "outsider"),
            # Stolen, perhaps; there is the secret still.
            "the cluster's certificate": client_context(own, "here"),
        }
        self._old = client_context(None)
        self._old.maximum_version = ssl.TLSVersion.TLSv1_2
        self._old.minimum_version = ssl.TLSVersion.TLSv1_2

    def draw(self) -> Said:
        """Return the next input."""
        kind = self._chance.randrange(9)
        if kind < 1:
            return self._others.draw()
        if kind < 5:
            name = self._chance.choice(list(self._ends))
            inside = self._others.draw()
            return Said(f"TLS with {name}, then bytes", inside.data, self._ends[name])
        hello = client_hello(self._old if kind == 5 else self._ends["no certificate"])
        name, data = {
            5: ("an old ClientHello", hello),
            6: ("a part of a ClientHello", hello[: self._chance.randrange(1, len(hello) + 1)]),
            7: ("a changed ClientHello", flipped(self._chance, hello)),
            8: ("records of no TLS", self._records()),
        }[kind]
        return Said(f"TLS: {name}", data)

    def _records(self) -> bytes:
        """Return TLS records of all types, some longer than any may be."""
        records = b""
        for _ in range(self._chance.randrange(1, 5)):
            content = self._chance.randbytes(self._chance.randrange(300))
            length = self._chance.choice([len(content), 0xFFFF, 0])
            head = bytes([self._chance.randrange(19, 26), 3, self._chance.randrange(5)])
            records += head + length.to_bytes(2, "big") + content
        return records


def client_context(folder: Path | None, host: str = "") -> ssl.SSLContext:
    """Return what somebody needs who trusts everybody and shows this certificate, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if folder is not None:
        context.load_cert_chain(folder / f"{host}.pem", folder / f"{host}-key.pem")
    return context


def client_hello(context: ssl.SSLContext) -> bytes:
    """Return the first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing)
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
