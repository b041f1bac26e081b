"""Requests that change the cluster: checkpoint, stop, drain, grow and shrink."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import DrainRequested, StopRequested
from wallaroo.coordinator.run_requests import check_phase, take_checkpoint
from wallaroo.coordinator.worker_names import next_names, refusal
from wallaroo.errors import ClusterError, ConfigError, WallarooError
from wallaroo.names import WorkerName
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import describe_checkpoint
from wallaroo_workers.initializer.control.run_context import Reach, Resize
from wallaroo_workers.logs import get_logger

log = get_logger()

Progress = Callable[[dict[str, Any]], None]

WORKERS_MAX = 1024
CHECKPOINTS_OFF = "checkpoints are off in this run"
CHECKPOINTS_HINT = "start wallaroo-run with --resilience-dir DIR"


class Commands:
    """Carries out the requests that change the cluster; each answers when it is done."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._tasks: set[asyncio.Task[None]] = set()
        self._discards = False
        self.discarded: dict[str, int] | None = None
        """What was deleted at the end of the run, if that was requested."""

    async def checkpoint(self, parameters: Parameters) -> dict[str, Any]:
        """Take a checkpoint that starts after this call; return its facts."""
        parameters.finish()
        before = self._reach.view.rounds.last
        manifest = await self.new_checkpoint()
        parts = [part for worker in manifest.workers.values() for part in worker.parts]
        written = [part for part in parts if part.checkpoint > before]
        return {
            **describe_checkpoint(manifest),
            "written_keys": sum(part.key_count for part in written),
            "written_bytes": sum(part.byte_count for part in written),
        }

    async def new_checkpoint(self) -> Manifest:
        """Return a checkpoint that starts after this call, once it is committed."""
        reach = self._reach
        if reach.latest is None:
            raise ClusterError(CHECKPOINTS_OFF, hint=CHECKPOINTS_HINT)
        await take_checkpoint(reach)
        return reach.latest()

    # The end

    async def stop(self, parameters: Parameters) -> dict[str, Any]:
        """Stop in order; return when every process but this one has ended."""
        discards = parameters.take("discard_state", bool, default=False)
        parameters.finish()
        reach, begun_s = self._reach, time.monotonic()
        if discards and reach.discard_all is None:
            raise ClusterError(
                f"there is no state to discard: {CHECKPOINTS_OFF}",
                hint="leave out --discard-state: what workers hold in memory ends with them",
            )
        # Kept in the object: the request holds even if its client closes the connection.
        self._discards |= discards
        reach.on_event(StopRequested(may_force=False))
        await reach.ended.wait()
        if reach.error is not None:
            raise ClusterError(
                f"the cluster has stopped, but not in order: {reach.error.what}",
                hint=reach.error.hint,
            )
        return {
            "stopped": True,
            **reach.view.totals,
            "took_s": round(time.monotonic() - begun_s, 2),
            "discarded": self.discarded,
        }

    async def discard(self) -> WallarooError | None:
        """Delete what the run has kept, if that was requested; every process has ended.

        Return the error if that has failed.
        """
        if not self._discards or self._reach.discard_all is None:
            return None
        try:
            self.discarded = await self._reach.discard_all()
        except (WallarooError, OSError) as error:
            log.error("state.discard_failed", reason=str(error))
            return ClusterError(
                f"not all of the state could be discarded: {error}",
                hint="delete the resilience directory and the journals by hand",
            )
        log.info("state.discarded", **self.discarded)
        return None

    async def drain(self, parameters: Parameters) -> dict[str, Any]:
        """Close the sources, finish accepted records, and leave the workers running."""
        parameters.finish()
        reach, begun_s = self._reach, time.monotonic()
        check_phase(reach, "a drain", Phase.RUNNING, Phase.DRAINED)
        reach.on_event(DrainRequested())
        while reach.phase is not Phase.DRAINED:
            await reach.change()
        took_s = round(time.monotonic() - begun_s, 2)
        return {"drained": True, **reach.view.totals, "took_s": took_s}

    # Membership

    async def grow(self, parameters: Parameters) -> dict[str, Any]:
        """Add workers; return which keys moved to them."""
        count = parameters.take("workers", int, 1)
        waits = parameters.take("wait", bool, default=True)
        parameters.finish()
        workers = self._reach.view.workers
        if not 1 <= count <= WORKERS_MAX - len(workers):
            raise ConfigError(
                f"{count} workers cannot be added to {len(workers)}",
                hint=f"add 1 or more; a cluster has at most {WORKERS_MAX}",
            )
        names = next_names(self._reach.view.used_names, count)
        return await self._resize(names, [], waits=waits)

    async def shrink(self, parameters: Parameters) -> dict[str, Any]:
        """Remove workers; return which keys moved to the others."""
        count = parameters.find("workers", int)
        names = parameters.take_names("names")
        waits = parameters.take("wait", bool, default=True)
        is_in_turn = parameters.take("in_turn", bool, default=False)
        parameters.finish()
        leaving = names_to_take(self._reach.view.workers, count, names)
        if is_in_turn:
            return await self._reach.resize_in_turn([], leaving)
        return await self._resize([], leaving, waits=waits)

    async def _resize(
        self, added: Sequence[str], leaving: Sequence[str], *, waits: bool
    ) -> dict[str, Any]:
        reach = self._reach
        if reach.is_resizing:
            raise ClusterError("another resize is in progress", hint="ask again when it is done")
        check_phase(reach, "a change of the membership", Phase.RUNNING)
        if waits:
            return await reach.resize(added, leaving)
        task = asyncio.create_task(_logged(reach.resize, added, leaving))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"accepted": True, "added": list(added), "left": list(leaving)}


async def _logged(resize: Resize, added: Sequence[str], leaving: Sequence[str]) -> None:
    """Resize without a caller that waits; log the result."""
    try:
        facts = await resize(added, leaving)
    except WallarooError as error:
        following = "the workers stay those that they were"
        log.warning("resize.rejected", reason=error.what, hint=error.hint, next=following)
    else:
        log.info("resize.completed", **facts, next="records go on there")


def names_to_take(
    workers: Sequence[WorkerName], count: int | None, names: Sequence[str]
) -> list[str]:
    """Return the workers to remove: those named, or the last ``count``.

    Raises ``ConfigError`` for a mistake, ``ClusterError`` if no worker would stay.
    """
    if (count is None) == (not names):
        raise ConfigError("shrink needs either a number of workers or their names")
    if count is not None and count < 1:
        raise ConfigError(f"{count} workers cannot be taken away", hint="give 1 or more")
    leaving = [*map(WorkerName, dict.fromkeys(names))] if count is None else [*workers[-count:]]
    if reason := refusal(workers, (), (), leaving):
        if not set(leaving) <= set(workers):
            raise ConfigError(reason)
        raise ClusterError(reason, hint="wallaroo-cluster stop ends the cluster")
    return [*leaving]
