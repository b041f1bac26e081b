"""What a source is asked and told apart from reading: its partitions, their ends, checkpoints."""

import asyncio
import inspect
import time
from collections.abc import Mapping
from typing import Any

from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition, end_of
from wallaroo.connectors.source_classes import PartitionedSource, SourceError
from wallaroo.describing import a_type, writable
from wallaroo.errors import ClusterError
from wallaroo.ingest.split_batches import Method
from wallaroo.ingest.split_source import Split
from wallaroo_workers.sources.author_methods import has_own, settled
from wallaroo_workers.sources.connector_calls import ConnectorCalls, WaitingLog

ENDS_EVERY_S = 5.0
ENDS_TURN_S = 0.1
"""For how long the ends of partitions are asked before records are read again."""


async def discovered(source: PartitionedSource[Any], calls: ConnectorCalls) -> list[str]:
    """Return the names of all partitions. Raises ``WallarooError`` if they cannot be right."""

    async def ask() -> list[str]:
        return checked_names(await calls.call("partitions"), Method(source, "partitions"))

    try:
        names: list[str] = await calls.until_answered("partitions", ask)
    except SourceError as error:
        raise ClusterError(error.what, error.hint or "") from error
    return names


def checked_names(found: Any, method: Method) -> list[str]:
    """Return the names that ``method`` returned; ``ClusterError`` if they cannot be right."""
    try:
        names: list[Any] = [found] if isinstance(found, str | bytes) else [*found]
    except TypeError:
        names = [found]
    if names == [found] or not all(type(name) is str for name in names):
        wrong = next((f"the name {name!r}" for name in names if type(name) is not str), "")
        given = a_type(found) if names == [found] else wrong
        raise ClusterError(
            f"{method} returned {given}, not names of partitions", hint="return a list of texts"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ClusterError(
            f"{method} returned two partitions of the name {twice!r}",
            hint="give each partition a name of its own",
        )
    # Checkpoints and the initializer have to write the name alike.
    odd = next((name for name in names if not name.isascii() and not is_unicode(name)), None)
    if odd is not None:
        raise ClusterError(
            f"{method} returned the name {odd!a}, which UTF-8 cannot encode",
            hint="a name of a file that is not valid text needs another one here",
        )
    return names


def is_unicode(text: str) -> bool:
    """Return whether UTF-8 can encode this text: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class CommitNotices:
    """Tells the author of committed positions, one call at a time, and of what changed only."""

    def __init__(
        self, source: PartitionedSource[Any], calls: ConnectorCalls, waits: WaitingLog
    ) -> None:
        self._is_wanted = has_own(source, "committed")
        self._calls = calls
        self._waits = waits
        self._known: dict[str, Any] = {}
        self.waiting: dict[str, Any] = {}
        """What the author is still to be told."""

    def committed(self, positions: Mapping[str, SplitPosition]) -> bool:
        """Note the positions of a checkpoint; return whether ``run`` has to be started.

        A batch that is taken in part counts from its base, since it is read again from there.
        """
        if not self._is_wanted:
            return False
        is_running = bool(self.waiting)
        known = {**self._known, **self.waiting}
        for split, position in positions.items():
            match position.kind:
                case SplitKind.AT:
                    base = position.position[0]
                case SplitKind.ENDED:
                    _, base = end_of(position.position)
                case _:
                    base = None
            if base is not None and known.get(split) != base:
                self.waiting[split] = base
        return bool(self.waiting) and not is_running

    async def run(self) -> None:
        """Call the author until nothing is left."""
        while self.waiting:
            positions = dict(self.waiting)
            try:
                await self._calls.call("committed", positions)
            except Exception as error:  # noqa: BLE001  the author's code may raise anything
                message = self._calls.failure("committed", error)
                self._waits.add(message, "it is called again after the next checkpoint")
                self.waiting = {}
                return
            self._known.update(positions)
            self.waiting = {
                split: base for split, base in self.waiting.items() if positions.get(split) != base
            }


async def sample_ends(
    source: PartitionedSource[Any],
    calls: ConnectorCalls,
    waits: WaitingLog,
    splits: Mapping[str, Split],
) -> None:
    """Ask every few seconds where the splits end and whether they can be read, for ever."""
    while True:
        names = [*splits]
        while names:
            try:
                ends = await _ends(source, calls, names)
            except Exception as error:  # noqa: BLE001  the author's code may raise anything
                waits.add(calls.failure("end", error), "the lag is not known meanwhile")
                break
            now_s = time.time()
            for name, (end, held) in ends.items():
                split = splits.get(name)
                if split is not None:
                    split.ends_at(end if type(end) is int else None, writable(held or ""), now_s)
            names = names[len(ends) :]
        await asyncio.sleep(ENDS_EVERY_S)


async def _ends(
    source: PartitionedSource[Any], calls: ConnectorCalls, names: list[str]
) -> dict[str, tuple[Any, Any]]:
    """Return ``end`` and ``held`` of the first of these splits, as many as a short time allows."""
    if inspect.iscoroutinefunction(source.end):
        return {names[0]: (await source.end(names[0]), await settled(source.held(names[0])))}

    def ask() -> dict[str, tuple[Any, Any]]:
        ends, until_s = {}, time.monotonic() + ENDS_TURN_S
        for name in names:
            ends[name] = source.end(name), source.held(name)
            if time.monotonic() > until_s:
                break
        return ends

    ends: dict[str, tuple[Any, Any]] = await calls.in_thread(ask)
    return ends
