"""A real Kafka broker for tests: one process in KRaft mode, on free ports of loopback.

Where it comes from, in this order:

1. ``KAFKA_BOOTSTRAP``: a broker that runs already. It cannot be stopped, so some tests are skipped.
2. ``KAFKA_HOME``, or a folder ``/opt/kafka*``: an installed Kafka.
3. Java and Maven: Maven resolves Kafka's own artefacts into its repository, once.

Otherwise tests are skipped; with ``CI=true`` they fail, since they would prove nothing.
"""

import base64
import fcntl
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.cluster.harness import free_ports, wait_until

VERSION = "4.1.2"
USER, PASSWORD = "tests", "tests-secret"
START_S = 90.0
MAVEN_S = 500.0

POM = f"""
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>2.0.17</version>
    </dependency>
  </dependencies>
</project>
"""

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{port},LOGIN://127.0.0.1:{login},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{port},LOGIN://127.0.0.1:{login},\
CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,LOGIN:SASL_PLAINTEXT
listener.name.login.sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={folder}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.retention.check.interval.ms=1000
file.delete.delay.ms=1000
"""


class Broker:
    """A broker and what tests do at it. Its topics have random names, so tests share it."""

    def __init__(self, bootstrap: str, process: "BrokerProcess | None" = None) -> None:
        self.bootstrap = bootstrap
        self.process = process
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def own(self) -> "BrokerProcess":
        """Return the process, for tests that stop it."""
        if self.process is None:
            pytest.skip("KAFKA_BOOTSTRAP names a broker that tests cannot stop")
        return self.process

    def topic(self, partition_count: int = 1, **config: str) -> str:
        """Make a topic and return its name."""
        name = f"wallaroo-tests-{uuid.uuid4().hex[:12]}"
        self.make(name, partition_count, **config)
        return name

    def make(self, name: str, partition_count: int = 1, **config: str) -> None:
        """Make a topic of this name; ``_`` stands for a dot in a name of ``config``."""
        options = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, partition_count, 1, config=options)

        def is_made() -> bool:
            # The name of a topic that was just deleted is free a moment later.
            try:
                self.admin.create_topics([topic])[name].result()
            except KafkaException as error:
                if "already exists" in str(error):
                    return False
                raise
            return True

        wait_until(f"topic {name} is made", is_made)
        wait_until(
            "it is known",
            lambda: self.admin.list_topics(name, timeout=10).topics[name].error is None,
        )

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self.admin.list_topics(topic, timeout=10).topics[topic].partitions)

    def producer(self, **options: Any) -> Producer:
        """Return a producer; ``_`` stands for a dot in a name of ``options``."""
        given = {name.replace("_", "."): value for name, value in options.items()}
        # Without this, a batch that is sent again may end up behind those that follow it.
        given.setdefault("enable.idempotence", True)
        return Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0, **given}
        )

    def produce(self, topic: str, messages: Sequence[tuple[int, Any, Any]]) -> None:
        """Write messages, each a partition, a key and a value; return when they are written."""
        producer = self.producer()
        errors: list[Any] = []
        for partition, key, value in messages:
            producer.produce(
                topic, value, key, partition, on_delivery=lambda error, _: errors.append(error)
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert [error for error in errors if error is not None] == []


def run_tool(java_class: str, *arguments: str) -> str:
    """Run a tool that comes with Kafka, such as the class behind ``kafka-consumer-groups.sh``."""
    java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath()]
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    command = [*java[:-2], quiet, *java[-2:], java_class, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class BrokerProcess:
    """The process of a broker, which keeps its data when it is killed and started again."""

    def __init__(self, folder: Path, classpath: str) -> None:
        self._folder = folder
        self._java = [
            *("java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
            *("-cp", classpath),
        ]
        port, login, controller = free_ports(3)
        self.bootstrap = f"127.0.0.1:{port}"
        self.login_bootstrap = f"127.0.0.1:{login}"
        """Where a user and a password are asked for."""
        self._properties = folder / "server.properties"
        text = PROPERTIES.format(
            port=port, login=login, controller=controller, folder=folder / "data", user=USER,
            password=PASSWORD,
        )  # fmt: skip
        self._properties.write_text(text)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._process: subprocess.Popen[bytes] | None = None
        storage = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id]
        done = subprocess.run(
            [*self._java, *storage, "-c", str(self._properties)],
            capture_output=True,
            check=False,
            timeout=START_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it; return when it answers."""
        with (self._folder / "log.txt").open("ab") as output:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            try:
                return bool(admin.list_topics(timeout=1).brokers)
            except KafkaException:
                return False

        wait_until("the broker answers", answers, START_S)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return (self._folder / "log.txt").read_text(errors="replace")[-4000:]


@cache
def classpath() -> str:
    """Return the classpath of Kafka. Without one the test is skipped, or fails with ``CI=true``."""
    if shutil.which("java") is None:
        return missing("there is no Java")
    homes = [os.environ.get("KAFKA_HOME", ""), *map(str, sorted(Path("/opt").glob("kafka*")))]
    for home in filter(None, homes):
        return f"{home}/libs/*"
    if shutil.which("mvn") is None:
        return missing("there is neither KAFKA_HOME nor Maven")
    folder = Path.home() / ".cache" / "wallaroo-tests" / f"kafka-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / "classpath.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pom = folder / "pom.xml"
        if not (_is_complete(found) and pom.read_text() == POM):
            pom.write_text(POM)
            target = [f"-Dmdep.outputFile={found}", "-Dmdep.includeScope=runtime"]
            command = ["mvn", "-q", "-B", "dependency:build-classpath", *target]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=MAVEN_S
            )
            if done.returncode != 0:
                return missing(f"Maven says: {(done.stdout + done.stderr)[-500:]}")
    return found.read_text()


def _is_complete(found: Path) -> bool:
    """Return whether all archives that were resolved once are still there."""
    return found.exists() and all(map(os.path.exists, found.read_text().split(":")))


def missing(reason: str) -> str:
    """Skip the test for this reason; fail where a broker is required."""
    text = f"needs a Kafka broker: {reason}; set KAFKA_BOOTSTRAP or KAFKA_HOME, or install Maven"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)
