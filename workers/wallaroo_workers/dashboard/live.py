"""Server-sent events: each listener gets the newest snapshot once a second."""

import asyncio
from collections import deque
from typing import Any

from aiohttp import web

from wallaroo_workers.dashboard.freshness import Fresh, encode_json
from wallaroo_workers.logs import get_logger

log = get_logger()

INTERVAL_S = 1.0
LISTENERS_MAX = 32
WRITE_TIMEOUT_S = 10.0
"""A listener that accepts nothing for this long is disconnected."""
PROGRESS_KEPT_MAX = 64
"""How many events of progress wait for one listener; the oldest are dropped first."""


class _Listener:
    """What waits for one listener: events of progress, and the newest snapshot only."""

    def __init__(self) -> None:
        self.progress: deque[bytes] = deque(maxlen=PROGRESS_KEPT_MAX)
        self.snapshot = b""
        self.has_something = asyncio.Event()

    def take(self) -> bytes:
        """Return all that waits, as one piece."""
        self.has_something.clear()
        taken = b"".join(self.progress) + self.snapshot
        self.progress.clear()
        self.snapshot = b""
        return taken


class Live:
    """All listeners. Snapshots are made only while there are any."""

    def __init__(self, snapshot: Fresh) -> None:
        self._snapshot = snapshot
        self._listeners: set[_Listener] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def listener_count(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request with events, until either side ends."""
        if self._is_closed or len(self._listeners) >= LISTENERS_MAX:
            raise web.HTTPServiceUnavailable(
                text=f"{LISTENERS_MAX} pages are open already; close one and try again"
            )
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        listener = _Listener()
        listener.snapshot = _event("snapshot", self._snapshot.get())
        listener.has_something.set()
        self._listeners.add(listener)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        try:
            await response.prepare(request)
            while not self._is_closed:
                await listener.has_something.wait()
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await response.write(listener.take())
        except (ConnectionError, TimeoutError):
            pass  # The browser has disconnected, or accepts nothing.
        finally:
            self._listeners.discard(listener)
        return response

    def tell_progress(self, facts: dict[str, Any]) -> None:
        """Send the progress of an action to all listeners."""
        event = _event("progress", encode_json(facts))
        for listener in self._listeners:
            listener.progress.append(event)
            listener.has_something.set()

    def close(self) -> None:
        """End all listeners."""
        self._is_closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        for listener in self._listeners:
            listener.has_something.set()

    async def _tick(self) -> None:
        while self._listeners:
            await asyncio.sleep(INTERVAL_S)
            try:
                event = _event("snapshot", self._snapshot.get())
            except Exception:  # a page that cannot be shown must not end the cluster
                log.exception("dashboard.snapshot_failed")
                event = b": no snapshot, see the log\n\n"
            for listener in self._listeners:
                listener.snapshot = event
                listener.has_something.set()


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
