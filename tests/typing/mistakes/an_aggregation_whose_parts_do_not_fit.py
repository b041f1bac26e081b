"""Aggregations whose functions take or return accumulators of different types."""

import wallaroo


def joined(one: str, other: str) -> str:
    return one + other


def line_of(key: str, text: str) -> str:
    return f"{key}: {text}"


@wallaroo.aggregation("count", initial=str)  # mistake
def count(_line: str, so_far: int) -> int:
    return so_far + 1


@wallaroo.aggregation("merged", initial=int, merge=joined)  # mistake
def merged(_line: str, so_far: int) -> int:
    return so_far + 1


@wallaroo.aggregation("shown", initial=int, output=line_of)  # mistake
def shown(_line: str, so_far: int) -> int:
    return so_far + 1


@wallaroo.aggregation("without", initial=int)  # mistake
def total(_line: str) -> int:
    return 1


@wallaroo.aggregation("without an initial")  # mistake
def first(_line: str, so_far: int) -> int:
    return so_far


class Longest(wallaroo.Aggregation[str, list[str]]):
    def initial_accumulator(self) -> str:  # mistake
        return ""

    def update(self, line: bytes, longest: list[str]) -> None:  # mistake
        longest[:] = [line.decode()]

    def combine(self, one: list[str], other: list[str]) -> str:  # mistake
        return one[0] + other[0]
