"""A cluster in a thread of a program of the user's, with an event loop of its own.

The program may block its own loop for long, as a cell of a notebook does, or have none, as a test.
The cluster must still notice lost workers.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from wallaroo.api.running import RunResult
from wallaroo.errors import ClusterError
from wallaroo.routing.key_text import text_of_key
from wallaroo.routing.keys import canonical_key
from wallaroo.topology.plan import Application
from wallaroo_workers.embedded.running import EmbeddedRun, about_keywords
from wallaroo_workers.initializer.settings import ClusterSettings

T = TypeVar("T")


@contextlib.asynccontextmanager
async def start(
    application: Application, settings: ClusterSettings, *, is_here: bool
) -> AsyncIterator["RunningCluster"]:
    """Run an application in a thread: what ``wallaroo.start`` returns."""
    thread = RunThread(EmbeddedRun(application, settings, is_here=is_here))
    try:
        await asyncio.wrap_future(thread.ready)
        cluster = RunningCluster(thread)
        yield cluster
        if not thread.result.done():
            await cluster.stop()
        await cluster.ended()
    finally:
        if not thread.result.done():
            thread.end()
            ended = asyncio.wrap_future(thread.result)
            await asyncio.wait([ended])
            # The reason why the block is left matters more than the error of this end. It is
            # taken nevertheless: asyncio logs an error that nobody takes.
            ended.exception()


class RunThread:
    """The thread of one run."""

    def __init__(self, embedded: EmbeddedRun) -> None:
        self.embedded = embedded
        self.ready: Future[None] = Future()
        """Done when the application accepts records; has the error if the run ended before."""
        self.result: Future[RunResult] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._run: asyncio.Task[Any] | None = None
        self._has_begun = threading.Event()
        # If the program ends without stopping the cluster, its workers notice that and end.
        self._thread = threading.Thread(target=self._main, name="wallaroo cluster", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        try:
            result = self.embedded.run(self._began)
        except BaseException as error:  # noqa: BLE001  the program raises it in its own thread
            self._end(self.ready, error)
            self._end(self.result, error)
        else:
            self._end(self.ready, None)
            self.result.set_result(result)
        finally:
            self._has_begun.set()

    def _end(self, future: "Future[Any]", error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _began(self) -> None:
        self._loop, self._run = asyncio.get_running_loop(), asyncio.current_task()
        assert self._run is not None
        waiting = asyncio.create_task(self._note_ready())
        self._run.add_done_callback(lambda _: waiting.cancel())
        self._has_begun.set()

    async def _note_ready(self) -> None:
        await self.embedded.cluster.hosts.is_ready.wait()
        self._end(self.ready, None)

    def end(self) -> None:
        """End the run at once."""
        self._has_begun.wait()
        if self._run is not None:
            self._call(self._run.cancel)

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function on the event loop of the run. Raises ``ClusterError`` if it ended."""

        async def called() -> T:
            return function()

        return self._submit(called())

    def request(self, method: str, **parameters: Any) -> "Future[dict[str, Any]]":
        """Make a request to the cluster, as the commands do."""
        return self._submit(self.embedded.cluster.handle(method, parameters, _ignore))

    def _submit(self, work: Any) -> "Future[Any]":
        self._has_begun.wait()
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except (RuntimeError, AttributeError) as error:
            work.close()
            raise ClusterError("the cluster has stopped") from error

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function)

    @property
    def sources(self) -> dict[str, str]:
        """Where each source listens, by its name."""
        names = [pipeline.name for pipeline in self.embedded.plan.pipelines]
        pairs = zip(names, self.embedded.cluster.source_addresses, strict=True)
        return {name: address for name, address in pairs if address}


def _ignore(_progress: dict[str, Any]) -> None:
    """Ignore the progress of a request."""


def key_parameters(state: str, key: Any) -> dict[str, Any]:
    """Return the parameters of a request about the object of a key; ``None`` for the only one."""
    if key is None:
        return {"state": state}
    kind, text = text_of_key(canonical_key(key))
    return {"state": state, "key": text, "type": kind}


class RunningCluster:
    """A ``wallaroo.Cluster``: passes calls of the program's event loop on to that of the run."""

    def __init__(self, thread: RunThread) -> None:
        self._thread = thread

    @property
    def sources(self) -> dict[str, str]:
        """Where each source listens, by its name."""
        return self._thread.sources

    async def status(self) -> dict[str, Any]:
        """Return the state of the cluster and of its workers."""
        return await self._asked("status")

    async def get(self, state: str, key: Any = None) -> dict[str, Any]:
        """Return the object of a key."""
        return await self._asked("get", **key_parameters(state, key))

    async def grow(self, count: int = 1) -> dict[str, Any]:
        """Add workers."""
        return await self._asked("grow", workers=count)

    async def shrink(self, count: int = 1) -> dict[str, Any]:
        """Remove the last workers."""
        return await self._asked("shrink", workers=count)

    async def checkpoint(self) -> dict[str, Any]:
        """Take a checkpoint."""
        return await self._asked("checkpoint")

    async def stop(self) -> dict[str, Any]:
        """Stop in order."""
        return await self._asked("stop")

    async def ended(self) -> RunResult:
        """Wait for the end of the run."""
        return await asyncio.wrap_future(self._thread.result)

    async def _asked(self, method: str, **parameters: Any) -> dict[str, Any]:
        with about_keywords():
            return await asyncio.wrap_future(self._thread.request(method, **parameters))
