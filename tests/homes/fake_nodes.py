"""Runs rendered manifests without a cluster: a pod is a network namespace, a container a process.

Knows what the chart uses: StatefulSets, Deployments, Services, Secrets, empty folders, claims,
fields of the pod in the environment, readiness by HTTP, SIGTERM and the grace period, and restarts
with a growing pause. A pod is alone on its node, which can be lost.
"""

import concurrent.futures
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cluster.harness import wait_until
from tests.hosts.namespaces import Host, run

COMMANDS = Path(sys.executable).parent
PAUSE_MAX_S = 60.0
HEALTHY_AFTER_S = 60.0
"""A container that has run for so long starts again after the shortest pause."""
NETWORK = "10.98.0"
LOG_LINES_SHOWN = 40
WORKLOADS = ("StatefulSet", "Deployment")

Secrets = Mapping[str, Mapping[str, str]]

_numbers = itertools.count(1)


class FakeCluster:
    """Pods of some manifests, and names by which they find each other."""

    def __init__(self, folder: Path, secrets: Secrets, mounted: Mapping[str, Path]) -> None:
        """``mounted`` are the files of the image, by their path in it."""
        self.folder = folder
        self.secrets = secrets
        self.mounted = mounted
        self.pods: dict[str, Pod] = {}
        self._label = f"fake-{os.getpid()}-{next(_numbers)}"
        self._next_number = 1
        self._workloads: list[Any] = []
        self._services: list[Any] = []
        self._lock = threading.Lock()
        self._made_paths: list[Path] = []
        """What containers mount something at, and this machine did not have."""
        run("ip", "netns", "add", self._hub)
        run("ip", "-n", self._hub, "link", "add", "bridge0", "type", "bridge")
        run("ip", "-n", self._hub, "link", "set", "bridge0", "up")
        self._make_paths(mounted)

    def in_image(self, host: Host) -> list[str]:
        """Return what a command is run under to run on ``host`` with the files of the image."""
        shell = mounting(self.mounted) + 'exec "$@"'
        return [*host.before, "unshare", "--mount", "sh", "-c", shell, "sh"]

    @property
    def _hub(self) -> str:
        return f"{self._label}-hub"

    @property
    def hosts_file(self) -> Path:
        return self.folder / "hosts"

    def add_host(self) -> Host:
        """Return another host of this network."""
        number = self._next_number
        self._next_number += 1
        host, port = Host(f"{self._label}-{number}", f"{NETWORK}.{number}"), f"port{number}"
        run("ip", "netns", "add", host.name)
        run("ip", "-n", self._hub, "link", "add", port, "type", "veth", "peer", "name", "eth0",
            "netns", host.name)  # fmt: skip
        run("ip", "-n", self._hub, "link", "set", port, "master", "bridge0", "up")
        run("ip", "-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        run("ip", "-n", host.name, "link", "set", "eth0", "up")
        run("ip", "-n", host.name, "link", "set", "lo", "up")
        return host

    def apply(self, objects: list[Any]) -> None:
        """Start what is new, end what is too much, and replace pods whose template has changed."""
        self._services = [each for each in objects if each["kind"] == "Service"]
        self._workloads = [each for each in objects if each["kind"] in WORKLOADS]
        # As each workload has a controller of its own.
        with concurrent.futures.ThreadPoolExecutor(len(self._workloads)) as threads:
            list(threads.map(self._apply, self._workloads))

    def _apply(self, workload: Any) -> None:
        self._roll_out(workload)
        self.scale(workload["metadata"]["name"], workload["spec"].get("replicas", 1))

    def _roll_out(self, workload: Any) -> None:
        """Replace old pods, one after the other; a Deployment starts the new one first."""
        name = workload["metadata"]["name"]
        for pod in reversed(self.pods_of(name)):
            if pod.template == workload["spec"]["template"]:
                continue
            if workload["kind"] == "StatefulSet":
                self.delete(pod.name)
                new_name = pod.name
            else:
                new_name = self._free_name(name)
            self._start(workload, new_name)
            wait_until(f"{new_name} is ready", self.pods[new_name].is_ready)
            if new_name != pod.name:
                self.delete(pod.name)

    def scale(self, name: str, count: int) -> list[int | None]:
        """Change the number of pods; return the statuses with which the others ended."""
        (workload,) = (each for each in self._workloads if each["metadata"]["name"] == name)
        while len(self.pods_of(name)) < count:
            self._start(workload, self._free_name(name))
        leaving = self.pods_of(name)[count:]
        return [self.delete(pod.name) for pod in leaving]

    def _free_name(self, workload: str) -> str:
        """Return the first name of a pod that is free."""
        names = (f"{workload}-{number}" for number in itertools.count())
        return next(name for name in names if name not in self.pods)

    def pods_of(self, name: str) -> list["Pod"]:
        """Return the pods of a StatefulSet or Deployment."""
        return [pod for pod in [*self.pods.values()] if pod.workload["metadata"]["name"] == name]

    def replace(self, name: str) -> None:
        """Start a pod again on another node, as the controller does when its node is lost."""
        workload = self.pods.pop(name).workload
        self._start(workload, name)

    def delete(self, name: str) -> int | None:
        """End a pod in order; return its status, ``None`` if the grace period was too short."""
        pod = self.pods.pop(name)
        status = pod.end()
        self._remove(pod.host)
        with self._lock:
            self._write_names()
        return status

    def uninstall(self) -> list[int | None]:
        """End all pods at the same time, in order; return their statuses."""
        names = [*self.pods]
        with concurrent.futures.ThreadPoolExecutor(len(names)) as threads:
            return list(threads.map(self.delete, names))

    def _start(self, workload: Any, name: str) -> None:
        with self._lock:
            pod = self.pods[name] = Pod(self, workload, name)
            self._make_paths(pod.mounts)
            self._write_names()
        pod.start()

    def _write_names(self) -> None:
        """Write what the names of Services and other hosts mean, in place: it is mounted."""
        lines = ["127.0.0.1 localhost"]
        for service in self._services:
            wanted = service["spec"]["selector"].items()
            lines += [
                f"{pod.host.address} {service['metadata']['name']}"
                for pod in [*self.pods.values()]
                if wanted <= pod.template["metadata"]["labels"].items()
            ]
        self.hosts_file.write_text("\n".join(lines) + "\n")

    def _make_paths(self, mounts: Mapping[str, Path]) -> None:
        """Make what containers mount something at: they see the files of this machine."""
        for target in map(Path, mounts):
            missing = [path for path in (target, *target.parents) if not path.exists()]
            for path in reversed(missing):
                path.mkdir()
                self._made_paths.append(path)

    def _remove(self, host: Host) -> None:
        kill_all(host)
        run("ip", "netns", "del", host.name)

    def logs(self) -> str:
        """Return the last lines of all pods there have been."""
        shown = []
        for path in sorted((self.folder / "pods").glob("*/log")):
            lines = path.read_text().splitlines()[-LOG_LINES_SHOWN:]
            shown.append("\n".join([f"== {path.parent.name}", *lines]))
        return "\n".join(shown)

    def end(self) -> None:
        """End all pods at once, and remove the network."""
        for pod in [*self.pods.values()]:
            pod.lose(is_silent=False)
        for number in range(1, self._next_number):
            with contextlib.suppress(OSError):
                self._remove(Host(f"{self._label}-{number}", ""))
        with contextlib.suppress(OSError):
            run("ip", "netns", "del", self._hub)
        for path in reversed(self._made_paths):
            path.rmdir()


class Pod:
    """One container on a node of its own, started again when it ends."""

    def __init__(self, cluster: FakeCluster, workload: Any, name: str) -> None:
        self.workload, self.name = workload, name
        self.template = workload["spec"]["template"]
        self.host = cluster.add_host()
        self.folder = cluster.folder / "pods" / f"{name}-{self.host.name}"
        self.folder.mkdir(parents=True)
        self.statuses: list[int] = []
        """How its container has ended so far."""
        self._cluster = cluster
        (self._container,) = self.template["spec"]["containers"]
        volumes = {
            each["mountPath"]: self._volume(each["name"])
            for each in self._container["volumeMounts"]
        }
        self.mounts = {**volumes, **cluster.mounted}
        """Folders of this machine, by the path at which the container sees them."""
        self._is_over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=name)

    def _volume(self, name: str) -> Path:
        claims = self.workload["spec"].get("volumeClaimTemplates", [])
        if any(claim["metadata"]["name"] == name for claim in claims):
            folder = self._cluster.folder / "claims" / f"{name}-{self.name}"
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        (volume,) = (each for each in self.template["spec"]["volumes"] if each["name"] == name)
        folder = self.folder / name
        folder.mkdir()
        if "secret" in volume:
            for key, text in self._cluster.secrets[volume["secret"]["secretName"]].items():
                (folder / key).write_text(text)
                (folder / key).chmod(0o440)
        return folder

    @property
    def environment(self) -> dict[str, str]:
        fields = {
            "status.podIP": self.host.address,
            "metadata.name": self.name,
            "spec.nodeName": f"node-of-{self.host.address}",
        }
        found = {"PATH": f"{COMMANDS}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"}
        for each in self._container.get("envFrom", []):
            found |= self._cluster.secrets[each["secretRef"]["name"]]
        for each in self._container["env"]:
            given = each.get("valueFrom")
            found[each["name"]] = fields[given["fieldRef"]["fieldPath"]] if given else each["value"]
        return found

    def start(self) -> None:
        """Run the container until the pod is deleted or lost."""
        self._thread.start()

    def _run(self) -> None:
        pause_s = 1.0
        while not self._is_over.is_set():
            began_s = time.monotonic()
            self._process = self._begin()
            if self._is_over.is_set():
                self._process.terminate()
            status = self._process.wait()
            self.statuses.append(status)
            if time.monotonic() - began_s > HEALTHY_AFTER_S:
                pause_s = 1.0
            self._is_over.wait(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _begin(self) -> subprocess.Popen[bytes]:
        environment = self.environment

        def filled_in(argument: Any) -> str:
            return re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], str(argument))

        container = self._container
        command = [filled_in(each) for each in container["command"] + container["args"]]
        mounts = {**self.mounts, "/etc/hosts": self._cluster.hosts_file}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self.host.before, "unshare", "--mount", "sh", "-c",
                 mounting(mounts) + self._in_folder, "sh", *command],
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def _in_folder(self) -> str:
        """Shell code that runs a command in the container's folder."""
        return f'cd {self._container["workingDir"]} && exec "$@"'

    def is_ready(self) -> bool:
        """Return what the readiness probe says."""
        asked = self._container["readinessProbe"]["httpGet"]
        (port,) = (
            each["containerPort"]
            for each in self._container["ports"]
            if each["name"] == asked["port"]
        )
        request = f"GET {asked['path']} HTTP/1.1\r\nHost: {self.host.address}\r\n\r\n"
        try:
            with (
                self.host.connect((self.host.address, port), 2) as connection,
                connection.makefile("rb") as answer,
            ):
                connection.sendall(request.encode())
                return answer.readline().split()[1:2] == [b"200"]
        except OSError:
            return False

    def inside(self, *command: str) -> str:
        """Return what a command prints in the container, as ``kubectl exec`` does."""
        assert self._process is not None
        enter = ["nsenter", "--target", str(self._process.pid), "--net", "--mount"]
        done = subprocess.run(
            [*enter, "sh", "-c", self._in_folder, "sh", *command],
            env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> int | None:
        """Send SIGTERM, and SIGKILL after the grace period."""
        wait_until(f"{self.name} has started", lambda: self._process is not None)
        assert self._process is not None
        self._is_over.set()
        self._process.terminate()
        self._thread.join(self.template["spec"]["terminationGracePeriodSeconds"])
        was_in_time = not self._thread.is_alive()
        self._process.kill()
        self._thread.join()
        return self.statuses[-1] if was_in_time else None

    def lose(self, *, is_silent: bool) -> None:
        """Lose the node with its disk; silent: no peer is notified, as when power fails."""
        self._is_over.set()
        if is_silent:
            self.host.cut()
        kill_all(self.host)
        self._thread.join()
        shutil.rmtree(self.folder / "work", ignore_errors=True)


def mounting(mounts: Mapping[str, Path]) -> str:
    """Return shell code that mounts what a container has at these paths."""
    # What is mounted may be below /tmp, so that goes last.
    in_order = sorted(mounts.items(), key=lambda mount: mount[0] == "/tmp")
    return "".join(f"mount --bind {path} {target} && " for target, path in in_order)


def pids_on(host: Host) -> list[int]:
    """Return the processes of a host."""
    listed = subprocess.run(
        ["ip", "netns", "pids", host.name], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def kill_all(host: Host) -> None:
    """End all processes of a host."""
    for pid in pids_on(host):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def fake_cluster(
    folder: Path, secrets: Secrets, mounted: Mapping[str, Path]
) -> Iterator[FakeCluster]:
    """A cluster without pods, removed afterwards."""
    cluster = FakeCluster(folder, secrets, mounted)
    try:
        yield cluster
    finally:
        cluster.end()
