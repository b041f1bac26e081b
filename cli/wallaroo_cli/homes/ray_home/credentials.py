"""The secret and the certificate that all processes of one initializer's life have in common.

They are made anew for each initializer and handed from actor to actor, never through what Ray
stores: arguments of actors are in its database, environment variables are on its page.
"""

import datetime
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from wallaroo_cli.certificates import read_authority, write_certificate
from wallaroo_workers.network.tls import TlsFiles

SECRET_BYTES = 32
VALID = datetime.timedelta(days=3650)
HOST = "wallaroo"
"""Certificates of a cluster prove membership; the name in them is not compared."""
FILES = ("secret", "ca.pem", f"{HOST}.pem", f"{HOST}-key.pem")


class Credentials:
    """Files in a private folder."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.folder = Path(tempfile.mkdtemp(prefix="wallaroo-"))
        for name, data in content.items():
            file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(file, "wb") as writing:
                writing.write(data)

    @classmethod
    def made(cls) -> "Credentials":
        """Make a secret, and a certificate by an authority that signs no other."""
        with tempfile.TemporaryDirectory(prefix="wallaroo-") as name:
            folder = Path(name)
            write_certificate(folder, HOST, read_authority(folder), VALID)
            (folder / "secret").write_text(secrets.token_hex(SECRET_BYTES))
            return cls({name: (folder / name).read_bytes() for name in FILES})

    @property
    def tls(self) -> TlsFiles:
        """The files for TLS."""
        _, authority, certificate, key = (str(self.folder / name) for name in FILES)
        return TlsFiles(certificate=certificate, key=key, authority=authority)

    @property
    def options(self) -> list[str]:
        """The options of ``wallaroo-run`` that name these files."""
        tls = self.tls
        return [
            f"--secret-file={self.folder / FILES[0]}",
            f"--tls-ca={tls.authority}",
            f"--tls-cert={tls.certificate}",
            f"--tls-key={tls.key}",
        ]

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
