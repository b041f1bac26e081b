"""What the runner of a source gets of its worker, and how its factory is found.

A source of the plan names its factory as ``module:function``. Only workers import it, so that a
package of its own can bring a connector, and nothing has to know its classes.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.base import Source
from wallaroo.describing import error_text
from wallaroo.errors import ConfigError
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.source_ports import SourceEvents
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Pipeline
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sources.frame_limits import IntakeLimits


@dataclass(frozen=True, slots=True)
class SourceContext:
    """One pipeline's source on one worker."""

    index: int
    """The index of the pipeline in the plan."""
    pipeline: Pipeline
    engine: Engine
    options: RunOptions
    intake: ReadBudget
    """How much all sources of this worker together may have read."""
    limits: IntakeLimits
    """What the connections of all sources may hold."""
    journal: Journal | None
    """What is read is written here before it is processed; ``None`` without checkpoints."""
    events: SourceEvents
    own_address: str | None
    """Where this host listens. Empty: nowhere; ``None``: at the initializer's address."""
    on_stuck: Callable[[], None]
    """Ends this process, so that it is replaced: a thread of the source hangs for good."""
    application: str = ""
    """The name of the application."""
    worker: str = ""
    """The name of the worker."""

    @property
    def source(self) -> Source:
        """The source, as the plan has it."""
        return self.pipeline.source


def new_runner(context: SourceContext) -> Any:
    """Return the runner of a source; its ``assignment`` says of which kind it is.

    Raises ``ConfigError`` if there is no such factory.
    """
    where = context.source.runner
    module, _, function = where.partition(":")
    try:
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the source of pipeline {context.pipeline.name!r} cannot be run: its runner "
            f"{where!r} cannot be imported: {error_text(error)}",
            hint="install the package that it belongs to, on every host; or correct "
            f"{context.source.kind}.runner",
        ) from error
    return factory(context)
