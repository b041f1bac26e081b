"""A store that repeats requests while the store behind it cannot be reached."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import AlreadyExistsError, MissingObjectError, StoreError

T = TypeVar("T")

RETRY_INTERVAL_S = 1.0
REPORT_INTERVAL_S = 10.0


class PatientStore:
    """Passes requests to `store`, and repeats those that fail because it cannot be reached.

    The store has ``timeout_s`` seconds to become reachable, counted from the first request that
    failed. After that its error is raised, and each further request raises at once until one
    succeeds. What the store refuses, for example because of wrong credentials, is an error at once.
    A repeated request may find its own earlier attempt: ``create`` then raises
    ``AlreadyExistsError``, as it may with any store across a network.
    """

    def __init__(
        self,
        store: ObjectStore,
        pause: Pause,
        clock: Callable[[], float],
        report: Callable[[str, dict[str, Any]], None],
        timeout_s: float,
    ) -> None:
        self._store = store
        self._pause = pause
        self._clock = clock
        self._report = report
        self.timeout_s = timeout_s
        """With 0 no request is repeated."""
        self._away_since_s: float | None = None
        self._reported_s = 0.0

    @property
    def location(self) -> str:
        """The directory or the URL, for messages."""
        return self._store.location

    def describe(self, name: str) -> str:
        """Return where the object `name` is, for messages."""
        return self._store.describe(name)

    def stop_waiting(self) -> None:
        """Repeat no request from now on."""
        self.timeout_s = 0

    async def get(self, name: str) -> bytes:
        """Return the whole object; ``MissingObjectError`` if there is none."""
        return await self._patiently(lambda: self._store.get(name))

    async def create(self, name: str, data: bytes) -> None:
        """Write a new object, whole or not at all; ``AlreadyExistsError`` if there is one."""
        await self._patiently(lambda: self._store.create(name, data))

    async def list(self, prefix: str = "") -> Sequence[tuple[str, int]]:
        """Return names and lengths of all objects below `prefix`, sorted by name."""
        return await self._patiently(lambda: self._store.list(prefix))

    async def delete(self, names: Iterable[str]) -> None:
        """Delete objects; names that do not exist are ignored."""
        doomed = list(names)
        await self._patiently(lambda: self._store.delete(doomed))

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await request()
            except (AlreadyExistsError, MissingObjectError):
                self._reached()
                raise
            except StoreError as error:
                if error.is_refusal or not self.timeout_s or not self._may_wait(error):
                    raise
            else:
                self._reached()
                return answer
            await self._pause(RETRY_INTERVAL_S)

    def _may_wait(self, error: StoreError) -> bool:
        now_s = self._clock()
        if self._away_since_s is None:
            self._away_since_s = now_s
            self._reported_s = now_s - REPORT_INTERVAL_S
        left_s = self._away_since_s + self.timeout_s - now_s
        if left_s > 0 and now_s - self._reported_s >= REPORT_INTERVAL_S:
            self._reported_s = now_s
            self._report(
                "store.unavailable",
                {
                    "location": self.location,
                    "reason": error.what,
                    "hint": error.hint,
                    "next": f"retries for {left_s:.0f} s; --store-timeout sets this limit",
                },
            )
        return left_s > 0

    def _reached(self) -> None:
        if self._away_since_s is not None:
            away_s = round(self._clock() - self._away_since_s, 1)
            facts = {"location": self.location, "after_s": away_s}
            self._report("store.available", {**facts, "next": "the start or recovery continues"})
        self._away_since_s = None
