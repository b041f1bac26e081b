"""Runs a generator: makes records only as fast as the engine takes them."""

import pickle
import time
from typing import Any

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.describing import error_text
from wallaroo.errors import StateObjectError
from wallaroo.operators.failures import Site, StopOnError, describe_failure
from wallaroo.runtime.engine import Engine
from wallaroo_workers.logs import get_logger

log = get_logger()


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
        """The next record, which is made already; ``None`` at the end."""
        self._is_restored = False
        self.has_records = False

    @property
    def delivered_ns(self) -> int:
        """Records are made as they are taken."""
        return time.time_ns()

    @property
    def pipeline(self) -> int:
        """The pipeline these records are for."""
        return self._pipeline

    def start(self) -> None:
        """Make the first record, unless a position was restored."""
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

    def emptied(self) -> None:
        """Nothing to read on: the generator has ended."""

    def stop(self) -> None:
        """Make no more records."""
        self.has_records = False

    # Where it is

    end = None
    """A run with a generator goes on until it is stopped, also once that makes nothing more."""

    def position(self) -> list[Any]:
        """Return what ``restore`` takes to go on behind the last record taken.

        Raises ``StateObjectError`` for a record that cannot be pickled.
        """
        try:
            return [pickle.dumps(self._value, protocol=5), self._value is None]
        except BaseException as error:
            raise StateObjectError(
                f"a record of the generator of pipeline {self._name!r} cannot be pickled: "
                f"{error_text(error)}",
                hint="return values from apply() that can be: the last one is the position that "
                "a checkpoint keeps",
            ) from error

    def restore(self, position: list[Any]) -> None:
        """Have ``start`` go on there. Raises ``StateObjectError`` for what cannot be unpickled."""
        pickled, is_ended = position
        try:
            self._value = None if is_ended else pickle.loads(pickled)
        except BaseException as error:
            raise StateObjectError(
                f"the generator of pipeline {self._name!r} cannot go on from its checkpoint: "
                f"{error_text(error)}",
                hint="give back the classes of its records as they were",
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
            hint="the generator has ended; everything it made before is processed",
        )
