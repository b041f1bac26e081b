"""Runs applications from Python: from a script, a notebook, or a test.

Running starts processes, opens sockets and waits, which nothing else in `wallaroo` does. So the
code is in `wallaroo_workers.embedded`, the options are those of the command in `wallaroo_cli`, and
both are imported when a function here is called.
"""

import importlib
import os
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict, Unpack

from wallaroo.operators.failures import Failure
from wallaroo.topology.plan import Application

__all__ = ["Cluster", "RunOptions", "RunResult", "run", "start"]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has come to."""

    record_count: int
    """Records that the sources gave; with checkpoints, in all runs together."""
    failure_count: int
    """Those of them that user code could not process."""
    failures: tuple[Failure, ...]
    """The first thousand of these of each worker, with ``step``, ``key``, ``error``, ``payload``.

    A record that is processed again after a crash fails again, and is there again.
    """


class Cluster(Protocol):
    """A cluster that runs, from ``wallaroo.start()``."""

    @property
    def sources(self) -> dict[str, str]:
        """``HOST:PORT`` of each source that listens, by its name."""
        ...

    async def status(self) -> dict[str, Any]:
        """Return what ``wallaroo-cluster status --json`` prints."""
        ...

    async def get(self, state: str, key: Any = None) -> dict[str, Any]:
        """Return the object of a key, as ``wallaroo-cluster get --json`` prints it."""
        ...

    async def grow(self, count: int = 1) -> dict[str, Any]:
        """Add workers; return what ``wallaroo-cluster grow --json`` prints."""
        ...

    async def shrink(self, count: int = 1) -> dict[str, Any]:
        """Remove the last workers; return what ``wallaroo-cluster shrink --json`` prints."""
        ...

    async def checkpoint(self) -> dict[str, Any]:
        """Take a checkpoint; return what ``wallaroo-cluster checkpoint --json`` prints."""
        ...

    async def stop(self) -> dict[str, Any]:
        """Stop in order; return what ``wallaroo-cluster stop --json`` prints."""
        ...

    async def ended(self) -> RunResult:
        """Wait until the run ends; return its result, or raise its ``WallarooError``."""
        ...


Path = str | os.PathLike[str]


class RunOptions(TypedDict, total=False):
    """The options of ``wallaroo-run`` as keywords; ``None`` is the same as leaving one out.

    Only two defaults differ: ``log_level`` is ``"warning"``, and there is no page unless
    ``dashboard`` says where.
    """

    ready_file: Path | None
    health: str | None
    control: str | None
    sink_timeout: float | None
    at_stop: Literal["auto", "keep", "flush"] | None
    on_error: Literal["dead-letter", "stop"] | None
    dead_letters: Path | None
    dead_letter_bytes: int | None
    keep_dead_letters: int | None
    max_failures: int | str | None
    no_restart: bool
    max_restarts: int | None
    worker_timeout: float | None
    max_frame_bytes: int | None
    exchange: Literal["auto", "payloads", "objects"] | None
    partitions: int | None
    resilience_dir: Path | None
    checkpoint_interval: float | None
    keep_checkpoints: int | None
    max_checkpoint_failures: int | None
    journal_dir: Path | None
    journal_sync: Literal["os", "batch", "always"] | None
    from_checkpoint: int | None
    allow_dropped_state: bool
    take_over: bool
    store_timeout: float | None
    allow_lost_input: bool
    allow_changed_state: bool
    skip_unreadable_keys: bool
    dashboard: str | None
    no_dashboard: bool
    dashboard_host: str | Sequence[str] | None
    expect_workers: int | None
    standby: int | None
    grow_with_hosts: bool
    agent_timeout: float | None
    bind: str | None
    advertise: str | None
    secret_file: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_ca: Path | None
    no_metrics: bool
    otlp: str | None
    log_format: Literal["auto", "console", "json"] | None
    log_level: Literal["debug", "info", "warning", "error"] | None
    debug: bool


def in_keywords(text: str) -> str:
    """Return a message about options of the command as one about keywords."""
    text = text.replace("start wallaroo-run with --", "run it with --")
    return _OPTION.sub(lambda found: found[1].replace("-", "_"), text)


_OPTION = re.compile(
    "--("
    + "|".join(name.replace("_", "-") for name in ("workers", *RunOptions.__annotations__))
    + r")(?![\w-])"
)


def run(
    application: Application, *, workers: int | None = None, **options: Unpack[RunOptions]
) -> RunResult:
    """Run an application from this program, and return when it has ended.

    It ends when all its sources have, or by ``wallaroo-cluster stop``. Ctrl-C ends it at once and
    raises ``KeyboardInterrupt``: signals stay yours.

    Workers are processes. They import the modules that the application uses, the script that calls
    this too, so put the call under ``if __name__ == "__main__":``. With ``workers=0`` everything is
    in this process: ``print`` and a debugger work, and functions may be defined anywhere. The
    default is 1, or as many as in the last checkpoint. Other keywords are options of the command.

    Raises ``WallarooError`` if ``wallaroo-run`` would have ended with another status than 0. In a
    running event loop, as in a cell of a notebook, use `start`.
    """
    settings = _settings(workers, options)
    home = importlib.import_module("wallaroo_workers.embedded.running")
    result: RunResult = home.run(application, settings, is_here=workers == 0)
    return result


def start(
    application: Application, *, workers: int | None = None, **options: Unpack[RunOptions]
) -> AbstractAsyncContextManager[Cluster]:
    """Start an application from this program, and control it while it runs::

        async with wallaroo.start(application, workers=2) as cluster:
            await cluster.grow()

    The block begins when the application accepts records. At its end the cluster is stopped in
    order, unless it has ended; if the block raises, it is stopped at once. The cluster runs in a
    thread with an event loop of its own. Keywords and errors are those of `run`.
    """
    settings = _settings(workers, options)
    home = importlib.import_module("wallaroo_workers.embedded.threads")
    cluster: AbstractAsyncContextManager[Cluster]
    cluster = home.start(application, settings, is_here=workers == 0)
    return cluster


def _settings(workers: int | None, options: RunOptions) -> Any:
    keywords = importlib.import_module("wallaroo_cli.keywords")
    return keywords.settings_for({"workers": 1 if workers == 0 else workers, **options})
