"""Finds a Kafka broker for the demo and for the project's tests, and starts it.

Where it comes from, in this order:

1. ``KAFKA_BOOTSTRAP``: a broker that runs already. It is not stopped.
2. ``KAFKA_HOME``, a folder ``/opt/kafka*``, or ``kafka-server-start.sh`` on the path: an installed
   Kafka. It needs Java 17 or newer, as does the next one.
3. Java and Maven: Maven resolves Kafka's own artefacts into its repository, once.
4. ``noida-db`` from PyPI, which speaks Kafka's protocol. ``lacks`` says what it does not promise.

Kafka runs in KRaft mode on free ports of loopback. Its data outlives ``kill`` and ``start``.
"""

import base64
import fcntl
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

VERSION = "4.1.2"
NOIDA = "noida-db==0.2.3"
USER, PASSWORD = "tests", "tests-secret"
START_S = 90.0
MAVEN_S = 500.0
JAVA_MIN = 17
PORTS = (20_000, 30_000)

POM = f"""
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>wallaroo</groupId><artifactId>kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>2.0.17</version>
    </dependency>
  </dependencies>
</project>
"""

PROPERTIES = """
process.roles={roles}
node.id={node}
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners={listeners}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,LOGIN:SASL_PLAINTEXT
listener.name.login.sasl.enabled.mechanisms=PLAIN,OAUTHBEARER
listener.name.login.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="{user}";
listener.name.login.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={folder}
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={replicas_min}
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.retention.check.interval.ms=1000
file.delete.delay.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens at, and that the system gives nobody."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(*PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return [*ports]


class NoBrokerError(Exception):
    """There is no broker, and none can be started."""


class Process(Protocol):
    """A broker that can be killed and started again."""

    bootstrap: str

    def start(self) -> None:
        """Start it; return when it answers."""
        ...

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A broker that runs."""

    what: str
    bootstrap: str
    process: Process | None = None
    """``None`` if it runs by itself."""
    lacks: str = ""
    """What it does not promise although Kafka does."""

    def stop(self) -> None:
        """End it, if it was started here."""
        if self.process is not None:
            self.process.kill()


Ports = Callable[[int], list[int]]


def start_broker(folder: Path, ports: Ports = free_ports) -> Found:
    """Return a broker that answers, with its data in this folder; ``ports`` finds free ones.

    Raises ``NoBrokerError`` with what to install.
    """
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        return Found("the broker of KAFKA_BOOTSTRAP", given)
    try:
        found = _kafka(folder, ports)
    except NoBrokerError as error:
        program = _noida()
        if program is None:
            raise NoBrokerError(f"{error}, or pip install {NOIDA}") from error
        process = NoidaProcess(folder, program, ports)
        lacks = "its data does not outlive a kill, and transactions have no time-out"
        found = Found(f"noida-db (there is no Kafka: {error})", process.bootstrap, process, lacks)
    assert found.process is not None
    found.process.start()
    return found


def _kafka(folder: Path, ports: Ports) -> Found:
    process = KafkaProcess(folder, classpath(), ports)
    return Found("Apache Kafka", process.bootstrap, process)


# Apache Kafka


class KafkaProcess:
    """A process of Apache Kafka: a broker, and unless it has a ``leader`` also the controller."""

    def __init__(
        self,
        folder: Path,
        libraries: str,
        ports: Ports,
        *,
        node: int = 1,
        size: int = 1,
        leader: "KafkaProcess | None" = None,
    ) -> None:
        """``size`` is how many brokers the cluster has; topics of Kafka itself are on all."""
        self._folder = folder
        self._java = [
            *("java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
            *("-cp", libraries),
        ]
        port, login, controller = ports(3)
        self.bootstrap = f"127.0.0.1:{port}"
        self.login_bootstrap = f"127.0.0.1:{login}"
        """Where a user and a password are asked for."""
        self.controller: int = controller if leader is None else leader.controller
        self.cluster_id: str = _random_id() if leader is None else leader.cluster_id
        listeners = [f"PLAIN://{self.bootstrap}", f"LOGIN://{self.login_bootstrap}"]
        if leader is None:
            listeners.append(f"CONTROLLER://127.0.0.1:{controller}")
        self._properties = folder / "server.properties"
        text = PROPERTIES.format(
            roles="broker,controller" if leader is None else "broker",
            node=node,
            controller=self.controller,
            listeners=",".join(listeners),
            folder=folder / "data",
            user=USER,
            password=PASSWORD,
            replicas=size,
            replicas_min=1 if size == 1 else 2,
        )
        self._properties.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self._format(["--standalone"] if leader is None else [])

    def _format(self, options: list[str]) -> None:
        storage = ["kafka.tools.StorageTool", "format", *options, "-t", self.cluster_id]
        done = subprocess.run(
            [*self._java, *storage, "-c", str(self._properties)],
            capture_output=True,
            check=False,
            timeout=START_S,
        )
        if done.returncode != 0:
            raise NoBrokerError(f"Kafka cannot be started: {(done.stdout + done.stderr).decode()}")

    @property
    def pid(self) -> int:
        """The id of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; return when it answers."""
        with (self._folder / "log.txt").open("ab") as output:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for_answer(self.bootstrap, self._process, self.log)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """Return the end of what it said."""
        return (self._folder / "log.txt").read_text(errors="replace")[-4000:]


def _random_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


@cache
def classpath() -> str:
    """Return the classpath of Kafka. Raises ``NoBrokerError`` if there is none."""
    _check_java()
    if home := _installed():
        return f"{home}/libs/*"
    if shutil.which("mvn") is None:
        raise NoBrokerError("there is no Kafka; set KAFKA_BOOTSTRAP or KAFKA_HOME, install Maven")
    folder = Path.home() / ".cache" / "wallaroo-tests" / f"kafka-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / "classpath.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(found):
            _resolve(folder, found)
    return found.read_text()


def _check_java() -> None:
    if shutil.which("java") is None:
        raise NoBrokerError(f"there is no Java; set KAFKA_BOOTSTRAP, install Java {JAVA_MIN}")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_MIN:
        first = said.partition("\n")[0]
        raise NoBrokerError(f"{first} is too old; set KAFKA_BOOTSTRAP, install Java {JAVA_MIN}")


def _installed() -> str | None:
    """Return the folder of a Kafka that is installed."""
    script = shutil.which("kafka-server-start.sh")
    homes = [os.environ.get("KAFKA_HOME", ""), *map(str, sorted(Path("/opt").glob("kafka*")))]
    homes += [str(Path(script).resolve().parents[1])] if script else []
    return next(filter(None, homes), None)


def _resolve(folder: Path, found: Path) -> None:
    """Let Maven find all archives, and download those that it does not have."""
    (folder / "pom.xml").write_text(POM)
    target = [f"-Dmdep.outputFile={found}", "-Dmdep.includeScope=runtime"]
    done = subprocess.run(
        ["mvn", "-q", "-B", "dependency:build-classpath", *target],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=MAVEN_S,
    )
    if done.returncode != 0:
        raise NoBrokerError(f"Maven says: {(done.stdout + done.stderr)[-500:]}")


def _is_complete(found: Path) -> bool:
    """Return whether all archives that were resolved once are still there."""
    return found.exists() and all(map(os.path.exists, found.read_text().split(":")))


# noida-db


class NoidaProcess:
    """A process of noida-db."""

    def __init__(self, folder: Path, program: str, ports: Ports) -> None:
        [port] = ports(1)
        self.bootstrap = f"127.0.0.1:{port}"
        self._folder = folder
        options = ["--data-dir", str(folder / "data"), "--only", "kafka"]
        self._command = [program, "start", *options, "--kafka-port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return when it answers."""
        with (self._folder / "log.txt").open("ab") as output:
            # The command starts the real process; both are in one session, and end together.
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, start_new_session=True
            )
        wait_for_answer(self.bootstrap, self._process, self.log)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """Return the end of what it said."""
        return (self._folder / "log.txt").read_text(errors="replace")[-4000:]


def _noida() -> str | None:
    beside = Path(sys.executable).parent / "noida-db"
    return str(beside) if beside.exists() else shutil.which("noida-db")


# What both need


def wait_for_answer(
    bootstrap: str, process: "subprocess.Popen[bytes]", log: Callable[[], str]
) -> None:
    """Return when a broker answers. Raises ``NoBrokerError`` if it ends, or takes too long."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    give_up_s = time.monotonic() + START_S
    while True:
        try:
            if admin.list_topics(timeout=1).brokers:
                return
        except KafkaException:
            pass
        is_late = time.monotonic() > give_up_s
        if is_late or process.poll() is not None:
            raise NoBrokerError(f"the broker at {bootstrap} does not answer: {log()}")
