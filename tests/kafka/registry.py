"""A real schema registry for tests: Apicurio, one process with its data in memory.

Maven resolves it once. It has the interface of Confluent's registry below ``/apis/ccompat/v7``.
"""

import fcntl
import os
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cluster.harness import free_ports, wait_until

VERSION = "3.0.9"
ARTEFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
START_S = 120.0
MAVEN_S = 500.0


class Registry:
    """The process, which tests may stop and start again; it forgets its schemas then."""

    def __init__(self, folder: Path) -> None:
        [port] = free_ports(1)
        [archive] = home().glob("*-runner.jar")
        self._command = [
            *("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *(f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1"),
            *("-jar", str(archive)),
        ]
        self._log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start it; return when it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)

        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()[-4000:]
            try:
                with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                    return True
            except (urllib.error.URLError, OSError):
                return False

        wait_until("the registry answers", answers, START_S)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def home() -> Path:
    """Return the folder of the installed registry. Without one the test is skipped."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        _missing("the schema registry needs Java and Maven")
    folder = Path.home() / ".cache" / "wallaroo-tests" / f"apicurio-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            copy = [f"-Dartifact={ARTEFACT}", f"-DoutputDirectory={folder}"]
            done = subprocess.run(
                ["mvn", "-q", "-B", "dependency:copy", *copy],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=MAVEN_S,
            )
            if done.returncode != 0:
                _missing(f"Maven says: {(done.stdout + done.stderr)[-500:]}")
            [archive] = folder.glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
            (folder / "complete").touch()
    return folder


def _missing(reason: str) -> NoReturn:
    """Skip the test for this reason; fail where a registry is required."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
