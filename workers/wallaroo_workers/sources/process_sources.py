"""The sources of a worker's process."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import PlacedSource, SourceEvents, SourceListener, listens
from wallaroo.ingest.sources import Sources
from wallaroo.ingest.split_ports import SplitSource
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Application
from wallaroo_workers.logs import get_logger
from wallaroo_workers.settings import WorkerSettings
from wallaroo_workers.sources.context import SourceContext, new_runner
from wallaroo_workers.sources.frame_limits import intake_limits

log = get_logger()


def new_sources(
    plan: Application,
    engine: Engine,
    settings: WorkerSettings,
    journal: Journal | None,
    events: SourceEvents,
    on_stuck: Callable[[], None],
) -> Sources:
    """Return all sources of one worker; ``on_stuck`` ends its process if one of them hangs."""
    intake = ReadBudget()
    own = settings.source_addresses
    limits = intake_limits(settings.options.frame_bytes_max, len(plan.pipelines))
    contexts = [
        SourceContext(
            index,
            pipeline,
            engine,
            settings.options,
            intake,
            limits,
            journal,
            events,
            None if own is None else own[index],
            on_stuck,
            plan.name,
            settings.name,
        )
        for index, pipeline in enumerate(plan.pipelines)
    ]
    return Sources(_SourcePorts(plan, engine, intake, contexts), events)


class _SourcePorts:
    """What the sources of a worker need from its process."""

    def __init__(
        self,
        plan: Application,
        engine: Engine,
        intake: ReadBudget,
        contexts: Sequence[SourceContext],
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.intake = intake
        self.listeners: dict[int, SourceListener] = {
            context.index: new_runner(context) for context in contexts if listens(context.source)
        }
        self.replayed = asyncio.Event()
        self._contexts = contexts

    def new_placed(self, index: int) -> PlacedSource:
        """Return what runs the source of this pipeline."""
        source: PlacedSource = new_runner(self._contexts[index])
        return source

    def new_split_source(self, index: int) -> SplitSource:
        """Return what reads splits of the source of this pipeline."""
        source: SplitSource = new_runner(self._contexts[index])
        return source

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time; return when the last one has ended."""
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        log.info(event, **values)
