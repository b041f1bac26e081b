"""Calls the methods of a sink's author, and reports what goes wrong in them.

Coroutines run on the event loop. All other methods run in a thread of the sink's own, always in the
same one, because clients of databases and brokers often may be used by one thread only.
"""

import asyncio
import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from wallaroo.connectors.sink_classes import Rejected, SinkError
from wallaroo.describing import error_text, text_of, writable
from wallaroo.errors import ClusterError
from wallaroo.ingest.split_batches import Method
from wallaroo.operators.failures import RECORD_SHOWN_CHARACTERS_MAX, Failure, user_line
from wallaroo.topology.plan import titled_sink
from wallaroo.worker.sink_port import SinkContext
from wallaroo_workers.logs import get_logger
from wallaroo_workers.loop_watch import watched_sink
from wallaroo_workers.sinks.runner import SinkWait
from wallaroo_workers.slow_calls import SlowCall
from wallaroo_workers.sources.connector_thread import ConnectorThread

log = get_logger()

WAITING_LOGGED_EVERY_S = 10.0
PROGRAMMING_ERRORS = (TypeError, AttributeError, NameError, NotImplementedError, SystemExit)
CODE_HINT = "correct the method; --sink-timeout limits how long it is tried"
TARGET_HINT = "see that the target can be reached; --sink-timeout limits how long it is tried"


class SinkFailed(ClusterError):
    """A sink cannot go on, whatever is tried."""


class MethodExit(Exception):
    """A method raised its cause, such as ``SystemExit``, which would end the process."""


class AuthorSink:
    """One author's sink on one worker."""

    def __init__(self, sink: Any, context: SinkContext, address: str) -> None:
        # If an application uses one object twice, each use still has a connection of its own.
        self._sink = copy.copy(sink)
        self._context = context
        self._address = address
        self.watched = watched_sink(context.name)
        self._thread: ConnectorThread | None = None
        self._must_close = False
        """Whether ``open`` was called; if it raised, there may still be a connection."""
        self._logged_s = float("-inf")
        self.waiting_since_s: float | None = None
        """Since what time of the loop the sink takes nothing; ``None`` while it does."""
        self._waits_for = ""
        """The method that is running or has raised last."""
        self._raised = ""
        """What it raised; empty while it runs."""
        self._batch_count = self._retry_count = self._rejected_count = 0

    async def call(self, name: str, *arguments: Any) -> Any:
        """Return what the author's method returns; raise an ``Exception`` if it raises anything.

        Raises ``SinkFailed`` if the author says that trying again cannot help. While the method
        does not return, a line says so every 10 s.
        """
        self._must_close = self._must_close or name == "open"
        if self.waiting_since_s is None:
            self.waiting_since_s = asyncio.get_running_loop().time()
        if name != "close":
            self._waits_for, self._raised = name, ""
        slow = SlowCall(partial(self._report_slow, name), self._stack)
        try:
            return await self._run(slow, getattr(self._sink, name), arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Only the method was cancelled, by itself or by its client.
            raise RuntimeError("it was cancelled") from error
        except SinkError as error:
            what = f"the sink {self._context.name!r} cannot go on: {error.what}"
            raise SinkFailed(writable(what), writable(error.hint or "")) from error
        except Exception:
            raise
        except BaseException as error:
            raise MethodExit from error
        finally:
            slow.end()

    async def write(
        self,
        rows: list[Any],
        *arguments: Any,
        keep: Callable[[list[Any]], None] = lambda _: None,
    ) -> None:
        """Write rows; those that the target refuses become dead letters.

        ``keep`` gets the others, which are written again without them.
        """
        while rows:
            try:
                # A copy, because the author may change the list and then fail.
                await self.call("write", rows.copy(), *arguments)
                return
            except Rejected as rejected:
                rows = self.refused(rows, rejected)
                keep(rows)

    @property
    def wait(self) -> SinkWait | None:
        """For what the sink waits, while it takes no rows."""
        if (since_s := self.waiting_since_s) is None:
            return None
        method = Method(self._sink, self._waits_for)
        ended = f"raised {self._raised}" if self._raised else "has not returned"
        what = f"the sink {self._context.name!r} took nothing"
        hint = "see that the target can be reached, or give --sink-timeout more time"
        return SinkWait(since_s, writable(what), writable(f"{method} {ended}"), hint)

    def works(self) -> None:
        """Note that the sink takes rows."""
        self.waiting_since_s = None

    def wrote(self) -> None:
        """Count a batch that the sink has taken, but for what it refused."""
        self._batch_count += 1
        self.works()

    def facts(self) -> dict[str, Any]:
        """Return what ``wallaroo.metrics.report`` says of the batches of a sink at least once."""
        since_s = self.waiting_since_s
        return {
            "written": self._batch_count,
            "retries": self._retry_count,
            "rejected": self._rejected_count,
            "waiting_s": 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s,
            "undelivered": None,
            "undelivered_bytes": None,
            "delays": None,
        }

    async def _run(self, slow: SlowCall, method: Any, arguments: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(method):
            return await slow.settled(method(*arguments))
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = ConnectorThread(self._context.name, loop)
            self._thread.start()
        return await slow.settled(await self._thread.call(lambda: method(*arguments)))

    async def close(self, *, is_broken: bool = False) -> None:
        """Call the author's ``close`` once for each ``open``; it may fail, as the connection may
        be broken.

        A sink that ``is_broken`` has waited for as long as before: it is opened again.
        """
        if not self._must_close:
            return
        self._must_close = False
        since_s = self.waiting_since_s if is_broken else None
        try:
            await self.call("close")
        except SinkFailed as error:
            self.end_run(error)
        except Exception as error:  # noqa: BLE001  the author's code may raise anything
            self.failed("close", error, 0, "nothing more is done about it")
        self.waiting_since_s = since_s

    async def end(self) -> None:
        """End the thread."""
        if self._thread is not None:
            await self._thread.close()

    @property
    def writes_unknown(self) -> bool:
        """Whether to write a batch if the target cannot say whether it has it."""
        return bool(self._sink.on_unknown == "again")

    # What goes wrong

    def end_run(self, error: SinkFailed) -> None:
        """End the run, which does not wait for this sink."""
        log.error(
            "sink.failed",
            sink=self._context.name,
            address=self._address,
            reason=error.what,
            hint=error.hint,
            next="the cluster stops",
        )
        self._context.events.sink_failed(error)

    def failed(
        self,
        name: str,
        error: BaseException,
        queued_bytes: int,
        following: str = "the sink is closed and opened again; queued rows are kept",
    ) -> None:
        """Log that a method raised, but not more often than every 10 s."""
        # A failed close is not tried again.
        self._retry_count += name != "close"
        if isinstance(error, MethodExit) and error.__cause__ is not None:
            error = error.__cause__
        method = getattr(self._sink, name)
        if name != "close":
            self._raised = error_text(error)
        hint = CODE_HINT if isinstance(error, PROGRAMMING_ERRORS) else TARGET_HINT
        self._log(name, error_text(error), queued_bytes, following, hint, user_line(error, method))

    def mistake(self, name: str, what: str, hint: str) -> SinkFailed:
        """Return the error of a run that a mistake in a method ends."""
        method = Method(self._sink, name)
        return SinkFailed(writable(f"the sink {self._context.name!r}: {method} {what}"), hint)

    def _stack(self) -> str:
        return "" if self._thread is None else self._thread.stack()

    def _report_slow(self, name: str, reason: str, stack: str) -> None:
        following = "it is waited for; queued rows are kept"
        self._log(name, reason, None, following, TARGET_HINT, stack=stack)

    def _log(
        self,
        name: str,
        reason: str,
        queued_bytes: int | None,
        following: str,
        hint: str,
        at: str = "",
        stack: str = "",
    ) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._logged_s + WAITING_LOGGED_EVERY_S:
            return
        self._logged_s = now_s
        log.warning(
            "sink.waiting",
            sink=self._context.name,
            address=self._address,
            method=str(Method(self._sink, name)),
            reason=writable(reason),
            at=at,
            **({} if queued_bytes is None else {"bytes_queued": queued_bytes}),
            **({"stack": stack} if stack else {}),
            hint=hint,
            next=following,
        )

    def refused(self, rows: Sequence[Any], rejected: Rejected) -> list[Any]:
        """Make dead letters of the rows that the target refuses; return the others.

        Raises ``SinkFailed`` if the author names rows that are not there, or none: the next
        attempt would do the same.
        """
        reasons: Any = rejected.reasons
        if (
            not isinstance(reasons, Mapping)
            or not reasons
            or not all(type(index) is int and 0 <= index < len(rows) for index in reasons)
        ):
            raise self.mistake(
                "write",
                f"raised Rejected({text_of(reasons, length_max=RECORD_SHOWN_CHARACTERS_MAX)}) for "
                f"a batch with the rows 0 to {len(rows) - 1}",
                "give Rejected a dict with the index of each row that is refused, and the reason",
            ) from rejected
        at = user_line(rejected, self._sink.write)
        failures = [
            self._failure(row, reasons[index], at)
            for index, row in enumerate(rows)
            if index in reasons
        ]
        self._rejected_count += len(failures)
        self._context.events.records_refused(self._context.index, failures)
        return [row for index, row in enumerate(rows) if index not in reasons]

    def _failure(self, row: Any, reason: object, at: str) -> Failure:
        payload = row.encode(errors="surrogatepass") if type(row) is str else row
        return Failure(
            pipeline=self._context.pipeline,
            step=titled_sink(self._context.name),
            key=None,
            error=f"Rejected: {writable(str(reason)[:RECORD_SHOWN_CHARACTERS_MAX])}",
            traceback="",
            payload=payload if type(payload) is bytes else None,
            record=text_of(row, length_max=RECORD_SHOWN_CHARACTERS_MAX),
            at=at,
        )
