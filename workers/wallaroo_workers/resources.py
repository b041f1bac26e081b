"""What the steps of a worker need once: made before its first record, and closed at its end."""

import asyncio
from typing import Any

from wallaroo.api.resources import Close, make_resource
from wallaroo.describing import error_text
from wallaroo.topology.plan import Application, resource_makers
from wallaroo.topology.resources import ResourceMaker
from wallaroo_workers.logs import get_logger

log = get_logger()

CLOSE_LIMIT_S = 10.0
"""How long all of them may take to close."""


class WorkerResources:
    """The resources of one worker process."""

    def __init__(self, plan: Application) -> None:
        self._makers = resource_makers(plan)
        self.made: dict[ResourceMaker, Any] = {}
        """By what makes them; complete when ``make`` has returned."""
        self._closes: list[tuple[str, Close]] = []

    async def make(self) -> None:
        """Make all of them, one after the other.

        Raises ``WallarooError`` if one cannot be made.
        """
        for maker, step in self._makers.items():
            try:
                self.made[maker], close = await make_resource(maker)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise
                raise maker.failure(step.name, error) from error
            self._closes.append((maker.name, close))

    async def close(self) -> None:
        """Close all of them, the last one first."""
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                while self._closes:
                    await _close(*self._closes.pop())
        except TimeoutError:
            log.warning(
                "resource.close_failed",
                reason=f"closing takes longer than {CLOSE_LIMIT_S:g} s",
                next="the worker ends without it",
            )


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _close(name: str, close: Close) -> None:
    try:
        await close()
    except Exception as error:  # noqa: BLE001  the user's code may raise anything
        log.warning(
            "resource.close_failed",
            reason=f"resource {name!r}: {error_text(error)}",
            next="the worker ends without it",
        )
