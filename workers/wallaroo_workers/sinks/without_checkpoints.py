"""A sink of an author that has slots, in a run without checkpoints: it is at least once."""

from typing import Any

from wallaroo.worker.sink_port import SinkContext
from wallaroo.worker.slots import slot_name
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sinks.author_sink import AuthorSink

log = get_logger()


class SlotSink(AuthorSink):
    """Says at the start what the sink does instead; subclasses make the calls."""

    def __init__(
        self, sink: Any, context: SinkContext, address: str, *, instead: str = "written"
    ) -> None:
        super().__init__(sink, context, address)
        self.slot = slot_name(context.application, "", context.index, context.worker)
        log.warning(
            "sink.at_least_once",
            sink=context.name,
            reason="checkpoints are off",
            hint="start with --resilience-dir to have each result exactly once",
            next=f"results are {instead} as they are made, and again after a failure",
        )
