"""Sources that run on a single simulated worker: files and generators."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wallaroo.connectors.base import Assignment
from wallaroo.errors import WallarooParameterError
from wallaroo.ingest.source_ports import listens
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo.topology.plan import Pipeline

GENERATED_MAX = 100_000


class PlacedRunner:
    """A file or a generator on its worker; the position is the number of a record."""

    def __init__(
        self, pipeline: int, engine: Engine, records: "Records", on_ended: Callable[[], None]
    ) -> None:
        self.pipeline = pipeline
        self._engine = engine
        self._records = records
        self._on_ended = on_ended
        self._position = 0
        self._is_running = False
        self.delivered_ns = 0
        self.end: str | None = None

    def start(self) -> None:
        """Start at the first record, or at the restored position."""
        self._is_running = True
        if self.has_records:
            self._engine.source_ready(self)
        else:
            self._end()

    def stop(self) -> None:
        """Return no more records."""
        self._is_running = False

    def position(self) -> Any:
        """Return the number of the next record."""
        return self._position

    def restore(self, position: Any) -> None:
        """Set the position at which ``start`` continues."""
        self._position = position

    @property
    def origin(self) -> Origin:
        """It has one order from its start to its end."""
        return Origin(None, 0)

    @property
    def has_records(self) -> bool:
        """Whether records are left."""
        return self._is_running and self._position < len(self._records.all)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records."""
        if not self.has_records:
            return []
        start = self._position
        self._position = min(start + record_count_max, len(self._records.all))
        self._records.taken_count = self._position
        return self._records.copied(start, self._position)

    def batch_consumed(self) -> None:
        """End the source, since all its records are taken."""
        if self._is_running:
            self._end()

    def _end(self) -> None:
        if self._records.have_an_end:
            self.end = ""
            self._on_ended()


class Records:
    """All records of a file or a generator."""

    def __init__(self, records: Sequence[Any], *, have_an_end: bool) -> None:
        self._pickled = [pickle.dumps(each) for each in records]
        self.all = records
        self.taken_count = 0
        """The position of the worker that took records last."""
        self.have_an_end = have_an_end

    def copied(self, start: int, end: int) -> list[Any]:
        """Return copies of some records."""
        return [pickle.loads(each) for each in self._pickled[start:end]]


def placed_records(pipelines: Sequence[Pipeline], input: Mapping[str, Any]) -> dict[int, Records]:
    """Return the records of each pipeline whose source does not listen."""
    records: dict[int, Records] = {}
    for index, pipeline in enumerate(pipelines):
        source = pipeline.source
        generated = source.generated()
        if generated is not None:
            made: list[Any] = []
            for value in generated:
                if len(made) == GENERATED_MAX:
                    raise WallarooParameterError(
                        f"the generator of pipeline {pipeline.name!r} does not end within "
                        f"{GENERATED_MAX} records; for a simulation give one whose apply() "
                        "returns None after some"
                    )
                made.append(pickle.loads(pickle.dumps(value)))
            records[index] = Records(made, have_an_end=False)
        elif source.assignment is Assignment.ONE_WORKER and not listens(source):
            records[index] = Records(input[pipeline.name], have_an_end=True)
    return records
