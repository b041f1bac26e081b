"""Windows over aggregations of other records than those of the pipeline."""

import operator

import wallaroo
from wallaroo import aggregate, minutes


@wallaroo.aggregation("length", initial=int, merge=operator.add)
def length(line: str, so_far: int) -> int:
    return so_far + len(line)


class Longest(wallaroo.Aggregation[str, list[str]]):
    def initial_accumulator(self) -> list[str]:
        return []

    def update(self, line: str, longest: list[str]) -> None:
        longest[:] = [max(line, *longest, key=len)]

    def output(self, key: str, longest: list[str]) -> str:
        return f"{key}: {longest[0]}"


def size_of(line: str) -> int:
    return len(line)


MINUTES = wallaroo.tumbling(minutes(1))


def pipeline(numbers: wallaroo.Pipeline[int], lines: wallaroo.ApplicationBuilder[bytes]) -> None:
    numbers.to(MINUTES.over(length))  # mistake
    numbers.to(MINUTES.over(Longest))  # mistake
    numbers.to(MINUTES.over(Longest()))  # mistake
    numbers.to(MINUTES.over(aggregate.sum(size_of)))  # mistake
    numbers.to(MINUTES.over(aggregate.top(3, size_of)))  # mistake
    lines.to(MINUTES.over(length))  # mistake
