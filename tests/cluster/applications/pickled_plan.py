"""An application with functions of all kinds, which workers have to find again."""

import functools
from collections.abc import Callable
from typing import Any

import wallaroo
from wallaroo.testing import TestSink, TestSource


class Total:
    def __init__(self) -> None:
        self.value = 0


class Doubles:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def name(self) -> str:
        return "doubles"

    def compute(self, record: int) -> int:
        return record * self.factor


@wallaroo.partition
def key_of(record: int) -> int:
    return record % 3


@wallaroo.state_computation("add")
def add(record: int, total: Total) -> tuple[int, bool]:
    total.value += record
    return total.value, True


unnamed: Any = wallaroo.computation("unnamed")(lambda record: record + 1)
doubles: Any = Doubles(2)
power: Any = wallaroo.computation("partial")(functools.partial(pow, 2))


def same(record: Any) -> Any:
    return record


def plan(limit: int, more: Callable[[Any], Any] = same) -> wallaroo.Application:
    @wallaroo.computation("inner")
    def inner(record: int, limit: int = limit * 10) -> int | None:
        return record if record < limit else None

    up_and_down: list[Any] = [lambda x: x + limit, lambda x: x - limit]
    two_of_one_line: list[Any] = [wallaroo.computation("of two")(each) for each in up_and_down]
    given: Any = wallaroo.computation("given")(more)
    return (
        wallaroo.ApplicationBuilder("pickled")
        .new_pipeline("numbers", TestSource([1, 2, 3]))
        .to(unnamed)
        .to(inner)
        .to(two_of_one_line[0])
        .to(two_of_one_line[1])
        .to(doubles)
        .to(power)
        .to(given)
        .to_state_partition(add, Total, "totals", key_of)
        .to_sink(TestSink("out"))
        .build()
    )
