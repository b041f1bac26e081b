"""Sources that run on a single worker and have a position: generators and files."""

import os
from collections.abc import Callable

from wallaroo.connectors.file import FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.ingest.source_ports import PlacedSource
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Pipeline
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sources.file import FileRunner
from wallaroo_workers.sources.generator import GeneratorRunner


def new_placed(
    index: int,
    pipeline: Pipeline,
    engine: Engine,
    options: RunOptions,
    on_ended: Callable[[], None],
) -> PlacedSource:
    """Return the runner for the source of ``pipeline``; a file source calls ``on_ended``."""

    source = pipeline.source
    if isinstance(source, FileSource):
        path = os.path.join(options.folder, source.path)
        bytes_max = options.frame_bytes_max
        return FileRunner(source, index, pipeline.name, path, engine, bytes_max, on_ended)
    assert isinstance(source, GeneratorSource)
    return GeneratorRunner(
        source, index, pipeline.name, engine, stops_on_error=options.stop_on_error
    )
