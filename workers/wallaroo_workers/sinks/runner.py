"""What the process needs from the runners of its sinks, and what all runners do alike."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import SinkShare
from wallaroo.connectors.base import Sink
from wallaroo.describing import error_text
from wallaroo.errors import ConfigError
from wallaroo.worker.sink_port import FinishCut, SinkContext, SinkRunner
from wallaroo_workers.logs import get_logger

log = get_logger()

FLUSH_POLL_S = 0.01
FLUSH_LOG_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class SinkWait:
    """A sink that takes nothing for now."""

    since_s: float
    """A time of the loop."""
    what: str
    """A sentence to which the duration is added."""
    why: str
    """What is known about the reason; may be empty."""
    hint: str


class ProcessSinkRunner(SinkRunner, Protocol):
    """A runner in a process, which says how its connection is."""

    @property
    def name(self) -> str:
        """The name that the user gave the sink, or ``sink N``."""
        ...

    @property
    def address(self) -> str:
        """Where the sink is, for logs and metrics."""
        ...

    @property
    def queued_bytes(self) -> int:
        """How many bytes the sink has not acknowledged."""
        ...

    @property
    def connection_count(self) -> int:
        """How many connections there have been, one after the other."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether the sink can be written now."""
        ...

    @property
    def wait(self) -> SinkWait | None:
        """For what the sink waits before it can take rows; ``None`` if it takes them."""
        ...

    @property
    def batches(self) -> dict[str, Any] | None:
        """What ``wallaroo.metrics.report`` says of the batches; ``None`` if there are none."""
        ...

    async def run(self) -> None:
        """Do the work of the sink until it is closed, or this is cancelled."""
        ...


def new_runner(sink: Sink, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner that the value of a plan names.

    Raises ``ConfigError`` if there is no such function.
    """
    module, _, name = sink.runner.partition(":")
    try:
        make: Callable[[Any, SinkContext], ProcessSinkRunner] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the sink {context.name!r} cannot be run: its runner {sink.runner!r} cannot be "
            f"imported: {error_text(error)}",
            hint="install the package that it belongs to, on every host; or correct "
            f"{sink.kind}.runner",
        ) from error
    return make(sink, context)


class QueueSettled(Protocol):
    """A sink that acknowledges bytes in the order in which they were written."""

    @property
    def name(self) -> str:
        """The sink's name, for logs."""
        ...

    @property
    def written_bytes(self) -> int:
        """How many bytes were ever written."""
        ...

    @property
    def settled_bytes(self) -> int:
        """How many of these are acknowledged."""
        ...

    @property
    def queued_bytes(self) -> int:
        """How many are not."""
        ...

    @property
    def address(self) -> str:
        """Where the sink is."""
        ...

    def settle(self) -> None:
        """Find out what is acknowledged."""
        ...


def cut_when_settled(sink: QueueSettled) -> FinishCut:
    """Return what waits until the sink has acknowledged everything written so far."""
    mark = sink.written_bytes

    async def finish() -> SinkShare:
        while sink.settled_bytes < mark:
            await asyncio.sleep(FLUSH_POLL_S)
            sink.settle()
        return SinkShare()

    return finish


async def is_set_within(delay_s: float, event: asyncio.Event) -> bool:
    """Wait for so long, or until the event is set; return whether it is."""
    if delay_s:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await event.wait()
    return event.is_set()


async def flush_queue(sink: QueueSettled) -> None:
    """Wait until the sink has acknowledged everything, and report from time to time that it has
    not."""
    loop = asyncio.get_running_loop()
    logged_s = loop.time()
    while sink.queued_bytes:
        await asyncio.sleep(FLUSH_POLL_S)
        sink.settle()
        if loop.time() - logged_s >= FLUSH_LOG_EVERY_S:
            logged_s = loop.time()
            log.warning(
                "sink.flushing",
                sink=sink.name,
                address=sink.address,
                bytes_queued=sink.queued_bytes,
                hint="ask a second time to stop immediately",
                next="the stop waits for the sink",
            )
