"""Real clusters for tests, with verbs for faults: what the fixture ``wallaroo_cluster`` starts.

Everything waits for what it causes, so a test needs no pauses: `send` until workers have read,
`kill` until the loss is noticed, and requests until the cluster runs again.
"""

import dataclasses
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Unpack

from wallaroo.api.running import RunOptions, RunResult
from wallaroo.connectors.base import Sink
from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.coordinator.cluster_state import Phase
from wallaroo.describing import a_type
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.names import SinkId, WorkerName
from wallaroo.suggestions import did_you_mean
from wallaroo.testing.doubles import KeptRows, TestSink
from wallaroo.topology.plan import Application
from wallaroo_workers.embedded.running import EmbeddedRun
from wallaroo_workers.embedded.threads import RunThread, key_parameters
from wallaroo_workers.initializer.settings import ClusterSettings

WAIT_S = 60.0
POLL_S = 0.01

SettingsFor = Callable[[Mapping[str, Any]], ClusterSettings]


class ClusterStarter:
    """Starts the clusters of one test: call it."""

    def __init__(self, folder: Path, settings_for: SettingsFor) -> None:
        """``settings_for`` makes settings of keywords."""
        self._folder = folder
        self._settings_for = settings_for
        self._clusters: list[ClusterUnderTest] = []

    def __call__(
        self,
        application: Application,
        workers: int = 2,
        *,
        real_sinks: bool = False,
        **options: Unpack[RunOptions],
    ) -> "ClusterUnderTest":
        """Start a cluster; return when it accepts records.

        Instead of each sink, unless ``real_sinks`` is true, a test sink keeps the records that its
        pipeline gave, before the encoder. Other keywords are those of ``wallaroo.run``.
        """
        given: dict[str, Any] = {
            "dead_letters": self._folder / "dead-letters",
            **options,
            "workers": 1 if workers == 0 else workers,
        }
        plan = application if real_sinks else _with_test_sinks(application)
        run = EmbeddedRun(plan, self._settings_for(given), is_here=workers == 0)
        cluster = ClusterUnderTest(run)
        self._clusters.append(cluster)
        cluster.wait_ready()
        return cluster

    def end(self) -> None:
        """End all clusters at once; raise the error of one that had ended by itself."""
        errors = [error for each in self._clusters if (error := each.end()) is not None]
        if errors:
            raise errors[0]


class ClusterUnderTest:
    """One cluster; its processes are children of the test."""

    def __init__(self, run: EmbeddedRun) -> None:
        self._run = run
        self._thread = RunThread(run)
        self._is_told = False
        """Whether the test knows how the run has ended."""

    def wait_ready(self) -> None:
        """Wait until the application accepts records."""
        try:
            self._thread.ready.result()
        except BaseException:
            self._is_told = True
            raise

    @property
    def sources(self) -> dict[str, str]:
        """``HOST:PORT`` of each source that listens, by its name."""
        return self._thread.sources

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the workers."""
        facts = self._thread.request("status", brief=True).result()
        return tuple(each["name"] for each in facts["workers"])

    # Records

    def send(self, source: str, items: Iterable[bytes | str]) -> None:
        """Send payloads to a source that listens; return when a worker has read them all.

        With checkpoints on they are in its journal then. A text is sent as UTF-8.
        """
        frames = self._frames(source)
        data = b"".join(_framed(frames, item, source) for item in payloads_of(items, source))
        host, _, port = self.sources[source].rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), WAIT_S) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                # The worker closes the connection when it has read everything.
                while connection.recv(1024):
                    pass
        except OSError as error:
            raise ClusterError(
                f"the connection to source {source!r} broke before everything was read: {error}",
                hint="the worker that read it was lost; send the items again",
            ) from error

    def outputs(self, sink: str | None = None, *, count: int = 0) -> list[Any]:
        """Return the records that a sink has, in the order in which they arrived.

        ``sink`` is its name, or ``sink 0``, ``sink 1`` in order; leave it out if there is one sink.
        With ``count``, wait until it has so many. After a `kill` with checkpoints on, records since
        the last checkpoint come again.
        """
        kept = self._kept(sink)
        if count:
            self._wait(f"{count} records for the sink", lambda: len(kept.sink.records) >= count)
        return [*kept.sink.records]

    # Faults and resizes

    def kill(self, worker: str) -> None:
        """Kill the process of a worker, and wait until the cluster has noticed that."""
        names = self.workers
        if worker not in names:
            raise ConfigError(
                f"there is no worker {worker!r}",
                hint=f"{did_you_mean(worker, names, str)}there are {', '.join(names)}",
            )
        if self._run.is_here:
            raise ConfigError(
                "with workers=0 the worker is in the process of the test",
                hint="start the cluster with workers=1 or more",
            )
        before = self._epoch()
        self._thread.call(lambda: self._run.cluster.kill(WorkerName(worker))).result()
        self._wait("the loss is noticed", lambda: self._epoch() > before)

    def grow(self, count: int = 1) -> dict[str, Any]:
        """Add workers; return what ``wallaroo-cluster grow --json`` prints."""
        return self._asked("grow", workers=count)

    def shrink(self, count: int = 1) -> dict[str, Any]:
        """Remove the last workers; return what ``wallaroo-cluster shrink --json`` prints."""
        return self._asked("shrink", workers=count)

    # Requests

    def get(self, state: str, key: Any = None, *, equals: Any = None) -> Any:
        """Return the state object of a key, as JSON has it; see ``wallaroo-cluster get --json``.

        For a state of windows, return the list of the key's windows that have not fired. It is the
        present object: records that were sent may still wait. With ``equals``, wait until the
        object is equal to that.
        """
        parameters = key_parameters(state, key)
        if equals is None:
            return self._found(parameters)
        self._wait(f"the object is {equals!r}", lambda: self._find(parameters) == equals)
        return equals

    def _found(self, parameters: dict[str, Any]) -> Any:
        found = self._asked("get", **parameters)
        return found["windows"] or found["value"]

    def _find(self, parameters: dict[str, Any]) -> Any:
        try:
            return self._found(parameters)
        except ClusterError:
            self._raise_if_ended()
            return None  # there is no such key yet, or it is being moved or restored

    def checkpoint(self) -> dict[str, Any]:
        """Take a checkpoint; return what ``wallaroo-cluster checkpoint --json`` prints."""
        return self._asked("checkpoint")

    def status(self) -> dict[str, Any]:
        """Return what ``wallaroo-cluster status --json`` prints."""
        return self._asked("status")

    def stop(self) -> RunResult:
        """Stop in order: what was sent is processed. Return counts and failures.

        Raises the ``WallarooError`` of the run if it does not end well.
        """
        self._is_told = True
        if not self._thread.result.done():
            self._thread.request("stop").result()
        return self._thread.result.result()

    def end(self) -> BaseException | None:
        """End at once if it still runs; return the error if it had ended by itself with one."""
        result: Future[RunResult] = self._thread.result
        if result.done():
            return None if self._is_told else result.exception()
        self._thread.end()
        result.exception()
        return None

    # Waiting

    def _epoch(self) -> int:
        self._raise_if_ended()
        return int(self._thread.request("status", brief=True).result()["epoch"])

    def _raise_if_ended(self) -> None:
        if self._thread.result.done():
            self._is_told = True
            self._thread.result.result()
            raise ClusterError("the cluster has ended")

    def _asked(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._wait("the cluster runs", self._is_running)
        return self._thread.request(method, **parameters).result()

    def _is_running(self) -> bool:
        facts = self._thread.request("status", brief=True).result()
        return bool(facts["phase"] == Phase.RUNNING.value)

    def _wait(self, what: str, is_true: Callable[[], bool]) -> None:
        pause, end_s = threading.Event(), time.monotonic() + WAIT_S
        while not is_true():
            if time.monotonic() > end_s:
                raise ClusterError(f"not within {WAIT_S:g} s: {what}")
            pause.wait(POLL_S)

    def _frames(self, source: str) -> PayloadFrames:
        by_name = {pipeline.name: pipeline.source for pipeline in self._run.plan.pipelines}
        if source not in by_name:
            known = ", ".join(map(repr, by_name))
            raise ConfigError(
                f"there is no source {source!r}",
                hint=f"{did_you_mean(source, by_name)}the sources are {known}",
            )
        frames = by_name[source].frames
        if source not in self.sources or frames is None:
            raise ConfigError(
                f"the source {source!r} does not listen, so nothing can be sent to it",
                hint="use a TCPSourceConfig with port 0, or give items to a TestSource",
            )
        return frames

    def _kept(self, sink: str | None) -> KeptRows:
        plan = self._run.plan
        kept = {
            plan.sink_name(SinkId(index)): each
            for index, each in enumerate(plan.sinks)
            if isinstance(each, KeptRows)
        }
        if sink is None and len(kept) == 1:
            return next(iter(kept.values()))
        if sink in kept:
            return kept[sink]
        known = ", ".join(map(repr, kept)) or "none"
        what = "the application has several sinks" if sink is None else f"no sink is named {sink!r}"
        raise ConfigError(what, hint=f"name one of those that keep their records: {known}")


def _with_test_sinks(plan: Application) -> Application:
    sinks: Sequence[Sink] = [
        sink if isinstance(sink, KeptRows) else KeptRows(TestSink(sink.name), sink.name)
        for sink in plan.sinks
    ]
    return dataclasses.replace(plan, sinks=tuple(sinks))


def payloads_of(items: Any, source: str) -> list[bytes | str]:
    """Return what a test sends, as a list. Raises ``ConfigError`` if it is not a list of these."""
    is_one = isinstance(items, str | bytes)
    payloads = [] if is_one else [*items]
    wrong = [items] if is_one else [each for each in payloads if not isinstance(each, bytes | str)]
    if wrong:
        place = "instead of a list of items" if is_one else "among its items"
        raise ConfigError(
            f"send() to source {source!r} is given {a_type(wrong[0])} {place}",
            hint="give a list of payloads, each of them bytes or a str",
        )
    return payloads


def _framed(frames: PayloadFrames, item: bytes | str, source: str) -> bytes:
    payload = item.encode() if isinstance(item, str) else item
    if frames.are_lines:
        return payload + b"\n"
    if not isinstance(frames.payload_length, str):
        raise ConfigError(
            f"the decoder of source {source!r} has a payload_length() of its own, so no header can "
            "be made for it",
            hint="send to its address, which `sources` has, over a socket of your own",
        )
    return struct.pack(frames.payload_length, len(payload)) + payload
