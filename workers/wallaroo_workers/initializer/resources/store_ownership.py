"""Owns the store of checkpoints for a run; a thread of its own renews the lease in time."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from typing import Any

from wallaroo.checkpoint.lease import Lease, LeasePorts
from wallaroo.checkpoint.patience import PatientStore
from wallaroo.errors import FencedError, WallarooError
from wallaroo_workers.logs import get_logger
from wallaroo_workers.storage.manifests import ManifestLog
from wallaroo_workers.storage.signs import Signs
from wallaroo_workers.storage.store import open_store

log = get_logger()

RELEASE_S = 5.0
"""A store that cannot be reached must not delay the end of a run longer than this."""


class Ownership:
    """The lease on one store, renewed by a thread with its own event loop and its own client.

    So neither checkpoints nor sinks nor a busy event loop can delay the renewal.
    """

    def __init__(
        self, location: str, application: str, *, takes_over: bool, store_timeout_s: float
    ) -> None:
        self._location = location
        self._application = application
        self._takes_over = takes_over
        self._store_timeout_s = store_timeout_s
        self._is_discarded = False
        """Whether everything in the store was deleted, so that the lease is deleted, too."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._main: asyncio.AbstractEventLoop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = threading.Event()
        self._stop: asyncio.Event
        """An event of the thread's loop."""
        self._is_slow: asyncio.Event
        self._acquired: asyncio.Future[None]
        self._ended: asyncio.Future[None]

    async def begin(self) -> None:
        """Acquire the lease; return when it is acquired, or when that clearly takes a while.

        A run that takes the store over does nothing yet: see ``take_over``. Raises the
        ``WallarooError`` because of which this run cannot own the store.
        """
        self._main = asyncio.get_running_loop()
        self._is_slow = asyncio.Event()
        self._acquired, self._ended = self._main.create_future(), self._main.create_future()
        if self._takes_over:
            return
        self._thread.start()
        slow = asyncio.create_task(self._is_slow.wait())
        waiting: list[asyncio.Future[Any]] = [self._acquired, slow]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        slow.cancel()
        if self._acquired.done():
            self._acquired.result()

    async def acquired(self) -> None:
        """Wait until the lease is acquired; raises as ``begin`` does."""
        if not self._takes_over:
            await asyncio.shield(self._acquired)

    async def take_over(self) -> None:
        """Take the store over, if this was requested; raises as ``begin`` does.

        This is the last step before the claim: a failed start must not end the active run.
        """
        if not self._takes_over:
            return
        if self._thread.ident is None:
            self._thread.start()
        await asyncio.shield(self._acquired)

    async def kept(self) -> None:
        """Wait until the lease is released; raises ``FencedError`` if another run acquires it."""
        await asyncio.shield(self._ended)

    async def release(self) -> None:
        """Release the lease, so that another run can own the store."""
        self._is_over.set()
        if not self._thread.is_alive():
            return
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        done, _ = await asyncio.wait([self._ended], timeout=RELEASE_S)
        if not done:
            log.warning(
                "lease.release_failed",
                location=self._location,
                reason="the store does not answer",
                next="a start on another host waits until the lease has run out",
            )

    # In the thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._own())
        except BaseException as caught:  # noqa: BLE001 - it is raised in the loop of the run
            error = caught
        self._hand_over(self._settle, error)

    def discarded(self) -> None:
        """Note that everything in the store was deleted."""
        self._is_discarded = True

    async def _own(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._is_over.is_set():
            return
        raw = open_store(self._location, is_quick=True)
        signs = Signs(raw.folder, self._application)
        try:
            store = PatientStore(
                raw, asyncio.sleep, time.monotonic, self._log_waiting, self._store_timeout_s
            )
            ports = LeasePorts(
                asyncio.sleep, time.monotonic, signs.look, self._log_waiting, _log_warning
            )
            lease = Lease(store, signs.me, ports)
            if not await self._until_stop(self._acquire(store, lease)):
                return
            self._hand_over(self._settle_acquired)
            store.stop_waiting()
            if not await self._until_stop(lease.keep()):
                with contextlib.suppress(FencedError):
                    await (lease.remove() if self._is_discarded else lease.release())
        finally:
            signs.close(removes_lock=self._is_discarded)

    async def _acquire(self, store: PatientStore, lease: Lease) -> None:
        # A lease means nothing in a store that lets an object be created twice.
        await ManifestLog(store).check_store()
        await lease.acquire(takes_over=self._takes_over)

    async def _until_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Return whether ``work`` has ended before this thread was ordered to stop."""
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        await asyncio.wait([working])
        return False

    def _log_waiting(self, event: str, values: dict[str, Any]) -> None:
        log.info(event, **values)
        self._hand_over(self._is_slow.set)

    def _hand_over(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the run has ended without waiting
            self._main.call_soon_threadsafe(call, *arguments)

    # Back in the loop of the run

    def _settle_acquired(self) -> None:
        if not self._acquired.done():
            self._acquired.set_result(None)

    def _settle(self, error: BaseException | None) -> None:
        """Set the results of all waiters: the thread has ended."""
        if error is not None and self._is_over.is_set() and isinstance(error, WallarooError):
            what = error.what
            log.warning(
                "lease.release_failed",
                location=self._location,
                reason=what,
                next="a start on another host waits until the lease has run out",
            )
            error = None
        for future in (self._acquired, self._ended):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # read, so that asyncio does not report it if nobody waits


def _log_warning(event: str, values: dict[str, Any]) -> None:
    log.warning(event, **values)
