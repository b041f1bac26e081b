"""The application of the stored checkpoint of a graph, which names parts of it: leave it as it is.

Branches are merged again, and records wait for answers at two steps: at the first one on the worker
that has read them, at the second one on the worker that owns their key.
"""

import asyncio

import wallaroo

COUNT = 200
KEYS = 6
FIRST_UNANSWERED = 60

is_slow = False
"""Whether some questions have no answer, so that a crash finds records that wait."""


class Numbers:
    def initial_value(self) -> int:
        return 0

    def apply(self, number: int) -> int | None:
        return number + 1 if number + 1 < COUNT else None


class Total:
    def __init__(self) -> None:
        self.count = 0
        self.sum = 0


def is_even(number: int) -> bool:
    return number % 2 == 0


def even(number: int) -> tuple[str, int]:
    return "even", number


def odd(number: int) -> tuple[str, int]:
    return "odd", number


def key_of(record: tuple[str, int]) -> str:
    return f"{record[0]} {record[1] % KEYS}"


@wallaroo.computation_async("ask", capacity=20, timeout=wallaroo.hours(1))
async def ask(record: tuple[str, int]) -> tuple[str, int]:
    if is_slow and record[1] >= FIRST_UNANSWERED:
        await asyncio.sleep(3600)
    return record


@wallaroo.computation_async("ask owner", capacity=100, timeout=wallaroo.hours(1))
async def ask_owner(record: tuple[str, int]) -> tuple[str, int]:
    if is_slow and record[1] % 10 == 0:
        await asyncio.sleep(3600)
    return record


@wallaroo.state_computation("total", Total)
def add(record: tuple[str, int], total: Total) -> tuple[str, int]:
    total.count += 1
    total.sum += record[1]
    return record


@wallaroo.state_computation("seen", Total)
def see(number: int, seen: Total) -> None:
    seen.count += 1
    seen.sum += number


@wallaroo.encoder
def encode(record: tuple[str, int]) -> str:
    return f"{record[0]} {record[1]}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    global is_slow
    is_slow = "--slow" in args
    numbers = wallaroo.source("numbers", wallaroo.GenSourceConfig(Numbers()))
    evens, odds = numbers.split(is_even)
    asked = evens.map(even).merge(odds.map(odd)).to(ask)
    answered = asked.key_by(key_of).to(add).to(ask_owner)
    return wallaroo.build_application(
        "stored graph",
        answered.to_sink(wallaroo.FileSinkConfig("answered.txt", encode)),
        numbers.key_by(lambda number: number % 3).to(see).done(),
    )
