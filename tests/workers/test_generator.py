"""Generators: they go on behind the last record taken, wherever they were."""

from dataclasses import dataclass, field
from typing import Any, cast

import msgpack
import pytest

from wallaroo.connectors.generator import GeneratorSource
from wallaroo.errors import StateObjectError
from wallaroo.runtime.engine import Engine
from wallaroo_workers.sources.generator import GeneratorRunner


@dataclass
class Count:
    last: int = 5
    made: list[int] = field(default_factory=list)

    def initial_value(self) -> int:
        self.made.append(0)
        return 0

    def apply(self, value: int) -> int | None:
        self.made.append(value + 1)
        return value + 1 if value < self.last else None


class Opaque:
    """Makes what cannot be pickled."""

    def initial_value(self) -> Any:
        return lambda: 0

    def apply(self, value: Any) -> Any:
        return value


class Taker:
    """Stands in for the engine."""

    def source_ready(self, source: GeneratorRunner) -> None:
        assert source.has_records


def runner(generator: Any, position: Any = None) -> GeneratorRunner:
    source = GeneratorSource(generator)
    made = GeneratorRunner(source, 0, "p", cast(Engine, Taker()), stops_on_error=False)
    if position is not None:
        made.restore(msgpack.unpackb(msgpack.packb(position)))
    made.start()
    return made


@pytest.mark.parametrize("taken", range(8))
def test_from_any_position_the_rest_comes(taken: int) -> None:
    first = runner(Count())
    before = first.take(taken)
    generator = Count()
    second = runner(generator, first.position())
    assert before + second.take(100) == [0, 1, 2, 3, 4, 5]
    assert 0 not in generator.made
    assert not second.has_records
    assert runner(Count(), second.position()).take(100) == []


def test_a_position_is_the_same_after_a_stop() -> None:
    first = runner(Count())
    first.take(2)
    position = first.position()
    first.stop()
    assert first.take(5) == []
    assert first.position() == position


def test_a_record_that_cannot_be_pickled_has_no_position() -> None:
    with pytest.raises(StateObjectError, match="generator of pipeline 'p' cannot be pickled"):
        runner(Opaque()).position()


def test_a_position_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(StateObjectError, match="generator of pipeline 'p' cannot continue"):
        runner(Count(), [b"garbage", False])
