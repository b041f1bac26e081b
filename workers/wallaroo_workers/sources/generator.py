"""Runs a generator: creates records only as fast as the engine takes them."""

import pickle
import time
from typing import Any

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.describing import error_text
from wallaroo.errors import StateObjectError
from wallaroo.operators.failures import Site, StopOnError, describe_failure
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sources.context import SourceContext

log = get_logger()


class GeneratorRunner:
    """Runs one generator, on the only worker that runs it."""

    def __init__(
        self,
        source: GeneratorSource,
        pipeline: int,
        name: str,
        engine: Engine,
        *,
        stops_on_error: bool,
    ) -> None:
        self._generator = source.generator
        self._pipeline = pipeline
        self._name = name
        self._stops_on_error = stops_on_error
        self._engine = engine
        self._value: Any = None
        """The next record, created in advance; ``None`` at the end."""
        self._is_restored = False
        self.has_records = False

    @property
    def delivered_ns(self) -> int:
        """The present time: records are created as they are taken."""
        return time.time_ns()

    @property
    def origin(self) -> Origin:
        """The whole source is one channel."""
        return Origin(None, self.delivered_ns)

    @property
    def pipeline(self) -> int:
        """The index of the pipeline that processes these records."""
        return self._pipeline

    def start(self) -> None:
        """Create the first record, unless a position was restored."""
        if self._is_restored:
            self.has_records = self._value is not None
        else:
            self._next(self._generator.initial_value)
        if self.has_records:
            self._engine.source_ready(self)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records."""
        records: list[Any] = []
        while self.has_records and len(records) < record_count_max:
            records.append(self._value)
            self._next(self._generator.apply, self._value)
        return records

    def batch_consumed(self) -> None:
        """Do nothing: a generator without records has ended."""

    def stop(self) -> None:
        """Stop creating records."""
        self.has_records = False

    # Position

    end = None
    """A run with a generator continues until it is stopped, even after the generator has ended."""

    def position(self) -> list[Any]:
        """Return the position after the last record that was taken, for ``restore``.

        Raises ``StateObjectError`` if a record cannot be pickled.
        """
        try:
            return [pickle.dumps(self._value, protocol=5), self._value is None]
        except BaseException as error:
            raise StateObjectError(
                f"a record of the generator of pipeline {self._name!r} cannot be pickled: "
                f"{error_text(error)}",
                hint="return values from apply() that can be pickled: a checkpoint stores the "
                "last one as the position",
            ) from error

    def restore(self, position: list[Any]) -> None:
        """Set where ``start`` continues. Raises ``StateObjectError`` if unpickling fails."""
        pickled, is_ended = position
        try:
            self._value = None if is_ended else pickle.loads(pickled)
        except BaseException as error:
            raise StateObjectError(
                f"the generator of pipeline {self._name!r} cannot continue from its checkpoint: "
                f"{error_text(error)}",
                hint="restore the classes of its records as they were",
            ) from error
        self._is_restored = True

    def _next(self, make: Any, *value: Any) -> None:
        try:
            self._value = make(*value)
        except BaseException as error:  # noqa: BLE001  the user's own code
            self._fail(error, *value)
        self.has_records = self._value is not None
        if not self.has_records:
            log.info("source.finished", pipeline=self._name)

    def _fail(self, error: BaseException, value: Any = None) -> None:
        self._value = None
        site = Site(self._name, "generator", has_key=False)
        failure = describe_failure(error, site, None, value, None)
        if self._stops_on_error:
            raise StopOnError(failure) from error
        log.error(
            "source.failed",
            pipeline=self._name,
            error=failure.error,
            at=failure.at,
            traceback=failure.traceback,
            hint="the generator has ended; the records it created before are processed",
        )


def new_runner(context: SourceContext) -> GeneratorRunner:
    """Return the runner of a generator."""
    assert isinstance(context.source, GeneratorSource)
    return GeneratorRunner(
        context.source,
        context.index,
        context.pipeline.name,
        context.engine,
        stops_on_error=context.options.stop_on_error,
    )
