"""Answers the messages of the external channel; what they do is done by the cluster's requests."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wallaroo.errors import ClusterError, WallarooError
from wallaroo.topology.plan import Application
from wallaroo.wire.external import ExternalId, ExternalMessage
from wallaroo_workers.external import shapes
from wallaroo_workers.logs import get_logger

log = get_logger()

ANSWER_TIMEOUT_S = 10.0
"""Less than what clients wait for an answer."""
BOUNDARY_COUNT_STATUS = "boundary-count-status"


@dataclass(frozen=True, slots=True)
class Membership:
    """Who is in the cluster, and how far it is."""

    workers: tuple[str, ...]
    is_initialized: bool
    """Whether the application has been ready once."""
    is_processing: bool
    """Whether every worker is up and the sources take records."""


class View(Protocol):
    """The cluster, as the process of one worker reaches it. All may raise ``WallarooError``."""

    async def membership(self) -> Membership:
        """Return who is in it now."""
        ...

    async def owners(self) -> Mapping[str, str]:
        """Return the worker of each state that has one object only."""
        ...

    async def keys(self) -> Mapping[str, list[str]]:
        """Return the keys of every state on this worker."""
        ...

    async def key_counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many keys each worker has, by state."""
        ...

    def shrink(self, workers: list[str]) -> None:
        """Remove these workers; the log reports the result."""
        ...

    def stop(self) -> None:
        """Stop the cluster in order."""
        ...


class ExternalAnswers:
    """The answers of the worker ``name``, which may never leave if it is ``initializer``."""

    def __init__(
        self,
        name: str,
        initializer: str,
        plan: Application,
        view: View,
        show: Callable[[str], None],
    ) -> None:
        self._name = name
        self._initializer = initializer
        self._plan = plan
        self._view = view
        self._show = show
        self._was_member = False

    async def answer(self, message: ExternalMessage) -> ExternalMessage | None:
        """Return the answer to ``message``; ``None`` if it has none."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._answer(message)
        except TimeoutError as error:
            raise ClusterError(
                f"the initializer has not answered for {ANSWER_TIMEOUT_S:.0f} s"
            ) from error

    async def _answer(self, message: ExternalMessage) -> ExternalMessage | None:
        match message.id:
            case ExternalId.PRINT:
                self._show(f"$$$ ExternalPrint: {message.text} $$$")
            case ExternalId.ROTATE_LOG:
                log.info("log.rotation_ignored", why="checkpoints are compacted; no log grows")
            case ExternalId.CLEAN_SHUTDOWN:
                self._show("External Clean Shutdown received.")
                self._view.stop()
            case ExternalId.REPORT_STATUS:
                await self._report(message.text)
            case ExternalId.SHRINK_REQUEST:
                return await self._shrink(message.text)
            case ExternalId.CLUSTER_STATUS_QUERY:
                return await self._status()
            case _:
                return await self._queried(message.id)
        return None

    async def _status(self) -> ExternalMessage:
        try:
            membership = await self._view.membership()
        except WallarooError:
            # The initializer is not reached: as far as this worker knows there is no cluster yet.
            return ExternalMessage(ExternalId.CLUSTER_STATUS_NOT_INITIALIZED)
        if not membership.is_initialized:
            return ExternalMessage(ExternalId.CLUSTER_STATUS_NOT_INITIALIZED)
        values = {
            "worker_count": len(membership.workers),
            "worker_names": list(membership.workers),
            "processing_messages": membership.is_processing,
        }
        return ExternalMessage(ExternalId.CLUSTER_STATUS_RESPONSE, shapes.as_text(values))

    async def _queried(self, query: ExternalId) -> ExternalMessage:
        match query:
            case ExternalId.PARTITION_QUERY:
                values = await self._partitions()
            case ExternalId.PARTITION_COUNT_QUERY:
                values = {
                    name: shapes.counted(of) for name, of in (await self._partitions()).items()
                }
            case ExternalId.SOURCE_IDS_QUERY:
                values = {"source_ids": shapes.source_ids(self._plan)}
            case ExternalId.STATE_ENTITY_QUERY:
                values = await self._own_keys()
            case ExternalId.STATE_ENTITY_COUNT_QUERY:
                values = await self._own_key_counts()
            case ExternalId.STATELESS_PARTITION_QUERY:
                values = (await self._partitions())["stateless_partitions"]
            case ExternalId.STATELESS_PARTITION_COUNT_QUERY:
                values = shapes.counted((await self._partitions())["stateless_partitions"])
            case ExternalId.CLUSTER_STATE_ENTITY_COUNT_QUERY:
                counts = await self._view.key_counts()
                values = {state: sum(of.values()) for state, of in counts.items()}
            case _:
                raise WallarooError(f"message {query.name} is an answer, not a question")
        # The id of a query's answer is the next one.
        return ExternalMessage(ExternalId(query + 1), shapes.as_text(values))

    async def _is_member(self) -> bool:
        """Whether this worker has its part of the states; one that still joins has none."""
        try:
            is_member = self._name in (await self._view.membership()).workers
        except WallarooError:
            if self._was_member:
                raise
            return False
        self._was_member |= is_member
        return is_member

    async def _own_keys(self) -> dict[str, list[str]]:
        if not await self._is_member():
            return {state: [] for state in self._plan.states}
        return dict(await self._view.keys())

    async def _own_key_counts(self) -> dict[str, int]:
        if not await self._is_member():
            return dict.fromkeys(self._plan.states, 0)
        counts = await self._view.key_counts()
        return {state: of.get(self._name, 0) for state, of in counts.items()}

    async def _partitions(self) -> dict[str, Any]:
        membership = await self._view.membership()
        owners = await self._view.owners()
        return {
            "state_partitions": shapes.state_partitions(self._plan, membership.workers, owners),
            "stateless_partitions": shapes.stateless_partitions(self._plan, membership.workers),
        }

    async def _report(self, what: str) -> None:
        if what != BOUNDARY_COUNT_STATUS:
            log.warning("report.unknown", what=what, known=BOUNDARY_COUNT_STATUS)
            return
        membership = await self._view.membership()
        log.info("report.boundaries", boundary_count=len(membership.workers) - 1)

    # Shrinking

    async def _shrink(self, text: str) -> ExternalMessage:
        request = _read_shrink(text)
        if isinstance(request, str):
            return ExternalMessage(ExternalId.SHRINK_RESPONSE, request)
        is_query, names, count = request
        membership = await self._view.membership()
        eligible = [worker for worker in membership.workers if worker != self._initializer]
        if is_query:
            values = {"node_names": eligible, "node_count": len(eligible)}
            return ExternalMessage(ExternalId.SHRINK_QUERY_RESPONSE, shapes.as_text(values))
        if not set(names) <= set(eligible):
            return ExternalMessage(ExternalId.SHRINK_RESPONSE, "Invalid shrink targets!")
        leaving = list(dict.fromkeys(names)) or eligible[:count]
        if leaving:
            self._view.shrink(leaving)
        verb = "Shrinking by" if leaving else "Cannot shrink"
        answer = f"{verb} {len(leaving)} workers!"
        return ExternalMessage(ExternalId.SHRINK_RESPONSE, answer)


def _read_shrink(text: str) -> tuple[bool, list[str], int] | str:
    """Return whether it is a query, the names and the number; or what is wrong with it."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return "The shrink request is not JSON!"
    if not isinstance(values, dict):
        return "The shrink request is not a JSON object!"
    names, count = values.get("node_names", []), values.get("node_count", 0)
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not isinstance(count, int):
        return "Invalid shrink targets!"
    return bool(values.get("query", False)), names, max(0, count)
