"""A cluster on several hosts for tests: its secret, its certificates, its commands."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from tests.cluster.durable import Deployment, Sender
from tests.cluster.harness import WAIT_S, Cluster, free_port, running
from tests.hosts.namespaces import Host
from wallaroo_cli.certificates import certificates

SECRET = "a secret for these tests only"


def write_secret(folder: Path, text: str = SECRET) -> Path:
    path = folder / "secret"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def make_certificates(folder: Path, *hosts: str, days: int = 1) -> Path:
    """Make an authority, or take the one that is there, and certificates; return their folder."""
    options = [str(folder), "--hosts", ",".join(hosts), "--days", str(days)]
    made = CliRunner().invoke(certificates, options, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return folder


def tls_options(folder: Path, host: str) -> list[str]:
    """The options that have a command show this host's certificate."""
    return [
        *("--tls-cert", str(folder / f"{host}.pem")),
        *("--tls-key", str(folder / f"{host}-key.pem")),
        *("--tls-ca", str(folder / "ca.pem")),
    ]


class FarSender(Sender):
    """Sends from one host to another."""

    def __init__(
        self,
        deployment: Deployment,
        here: Host,
        there: Host,
        name: str = "sent",
        journals: Path | None = None,
    ) -> None:
        super().__init__(deployment.port, journals or deployment.journals, name)
        self._from = here
        self._to = (there.address, deployment.port)

    def connect(self) -> socket.socket:
        return self._from.connect(self._to, WAIT_S)


class PlainFarSender(FarSender):
    """Sends over one connection that nobody cuts; looks into no journal."""

    def _run(self) -> None:
        try:
            self._send()
            self.accepted = self.sent
        except OSError as error:
            self._error = error


class Site:
    """Hosts with a file system in common, and an application to run on them."""

    def __init__(self, folder: Path, hosts: Sequence[Host], *, is_durable: bool = True) -> None:
        self.deployment = Deployment(folder, is_sent_to=True)
        self.folder = folder
        self.secret = write_secret(folder)
        self.certificates = make_certificates(folder / "certs", *(host.name for host in hosts))
        self.control = f"{hosts[0].address}:{free_port()}"
        # Every host listens at all its addresses.
        self.options = [
            option.replace("127.0.0.1:", "0.0.0.0:") for option in self.deployment.options
        ]
        self._interval = ["--checkpoint-interval", "0.3"]
        if not is_durable:
            at = self.options.index("--resilience-dir")
            del self.options[at : at + 2]
            self._interval = []

    def _own(self, host: Host) -> list[str]:
        return ["--secret-file", str(self.secret), *tls_options(self.certificates, host.name)]

    def initializer(self, host: Host, *options: str) -> contextlib.AbstractContextManager[Cluster]:
        own = ["--control", self.control, *self._interval, *self._own(host)]
        return running(self.folder, "counts", *self.options, *own, *options, before=host.before)

    def agent(
        self, host: Host, name: str, *options: str
    ) -> contextlib.AbstractContextManager[Cluster]:
        own = ["--join", self.control, "--name", name, *self._own(host)]
        return running(self.folder, "counts", *self.options, *own, *options, before=host.before)
