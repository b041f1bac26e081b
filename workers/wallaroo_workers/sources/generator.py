"""Runs a generator: makes records only as fast as the engine takes them."""

from typing import Any

import structlog

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.operators.failures import Site, StopOnError, describe_failure
from wallaroo_workers.engine import Engine

log = structlog.get_logger()


class GeneratorRunner:
    """One generator, on the one worker that runs it."""

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
        self.has_records = False

    @property
    def pipeline(self) -> int:
        """The pipeline these records are for."""
        return self._pipeline

    def start(self) -> None:
        """Make the first record."""
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

    def emptied(self) -> None:
        """Nothing to read on: the generator has ended."""

    def stop(self) -> None:
        """Make no more records."""
        self.has_records = False

    def _next(self, make: Any, *value: Any) -> None:
        try:
            self._value = make(*value)
        except Exception as error:  # noqa: BLE001  the user's own code
            self._fail(error, *value)
        self.has_records = self._value is not None
        if not self.has_records:
            log.info("source.finished", pipeline=self._name)

    def _fail(self, error: Exception, value: Any = None) -> None:
        self._value = None
        site = Site(self._name, "generator", has_key=False)
        failure = describe_failure(error, site, None, value, None)
        if self._stops_on_error:
            raise StopOnError(failure) from error
        log.error(
            "source.failed",
            pipeline=self._name,
            error=failure.error,
            traceback=failure.traceback,
            hint="the generator has ended; everything it made before is processed",
        )
