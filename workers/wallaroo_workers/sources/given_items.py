"""Runs a source whose items a test gives."""

import time
from collections.abc import Callable
from typing import Any

from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo.testing.doubles import GivenItems
from wallaroo_workers.sources.context import SourceContext


class ItemsRunner:
    """Gives the items, on the only worker that runs the source."""

    def __init__(
        self, items: tuple[Any, ...], pipeline: int, engine: Engine, on_ended: Callable[[], None]
    ) -> None:
        self._items = items
        self._pipeline = pipeline
        self._engine = engine
        self._on_ended = on_ended
        self._next = 0
        self._is_running = False
        self._has_ended = False

    @property
    def origin(self) -> Origin:
        """The whole source is one channel."""
        return Origin(None, self.delivered_ns)

    @property
    def pipeline(self) -> int:
        """The index of the pipeline that processes the items."""
        return self._pipeline

    @property
    def delivered_ns(self) -> int:
        """The present time: items are there as soon as they are taken."""
        return time.time_ns()

    @property
    def has_records(self) -> bool:
        """Whether items are left."""
        return self._is_running and self._next < len(self._items)

    @property
    def end(self) -> str | None:
        """``None`` before the last item is taken, then an empty text."""
        return "" if self._has_ended else None

    def start(self) -> None:
        """Give items from the restored position on."""
        self._is_running = True
        if self.has_records:
            self._engine.source_ready(self)
        else:
            self.batch_consumed()

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next items."""
        first = self._next
        self._next = min(first + record_count_max, len(self._items))
        return [*self._items[first : self._next]]

    def batch_consumed(self) -> None:
        """End, since all items are taken."""
        self._is_running, self._has_ended = False, True
        self._on_ended()

    def stop(self) -> None:
        """Give no more items."""
        self._is_running = False

    def position(self) -> int:
        """Return the number of the next item."""
        return self._next

    def restore(self, position: int) -> None:
        """Set the number of the next item."""
        self._next = position


def new_runner(context: SourceContext) -> ItemsRunner:
    """Return the runner of a source of items."""
    source = context.source
    assert isinstance(source, GivenItems)
    return ItemsRunner(source.items, context.index, context.engine, context.events.source_ended)
