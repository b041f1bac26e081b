"""A source that is read by split, and what reads its splits, which notes what it is to do."""

from collections.abc import Mapping
from typing import Any

import wallaroo
from tests.wallaroo.operators.mesh import tcp_sink
from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition
from wallaroo.testing.waiting import Flag
from wallaroo.topology.plan import Application

AT = SplitPosition(SplitKind.AT, [40, 2])


class Orders(wallaroo.PartitionedSource[str]):
    """A source that is read by split, which nobody reads here."""

    def read(self, partition: str, position: Any) -> Any:
        raise AssertionError(partition)


def orders_plan() -> Application:
    orders = wallaroo.ApplicationBuilder("a").new_pipeline("orders", Orders())
    return orders.to_sink(tcp_sink()).build()


class NotedSource:
    """What reads splits: notes what it is to do."""

    discovery_s = None
    resumes = True
    reconnect_count = 0

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.splits: dict[str, SplitPosition] = {}
        self.ended: dict[str, str] = {}
        self.are_started = Flag()
        self.are_started.set()
        self.committed_positions: list[Mapping[str, SplitPosition]] = []

    def start(self) -> None:
        self.done.append("started")

    def add(self, split: str, position: SplitPosition, /) -> None:
        assert split not in self.splits
        self.splits[split] = position

    def remove(self, split: str, /) -> SplitPosition:
        return self.splits.pop(split)

    def positions(self) -> dict[str, SplitPosition]:
        return dict(self.splits)

    def stop(self) -> None:
        self.done.append("stopped")

    async def close(self) -> None:
        self.done.append("closed")

    async def discover(self) -> list[str]:
        return [*self.splits]

    async def resolved(self) -> None:
        await self.are_started.wait()

    split_count = 0
    lag = None

    def worst_facts(self, count_max: int) -> list[dict[str, Any]]:
        return []

    def facts(self) -> list[dict[str, Any]]:
        return []

    def committed(self, positions: Mapping[str, SplitPosition], /) -> None:
        self.committed_positions.append(positions)
