"""Generates the numbers up to ``--last``, counts them by remainder, and pads lines by ``--width``.

The file ``progress`` says how far the generator is.
"""

from pathlib import Path

import wallaroo


class Numbers:
    def __init__(self, last: int) -> None:
        self.last = last

    def initial_value(self) -> int:
        return 1

    def apply(self, value: int) -> int | None:
        if value % 100 == 0:
            Path("progress").write_text(str(value))
        return value + 1 if value < self.last else None


class Seen:
    def __init__(self) -> None:
        self.count = 0


@wallaroo.partition
def remainder_of(number: int) -> int:
    return number % 7


@wallaroo.state_computation("count")
def count(number: int, seen: Seen) -> tuple[tuple[int, int], bool]:
    seen.count += 1
    return (number, seen.count), True


def encoding(width: int) -> wallaroo.Encoder[[tuple[int, int]], str]:
    """Return what makes padded lines."""

    @wallaroo.encoder
    def encode(record: tuple[int, int]) -> str:
        number, seen_count = record
        return f"{number} {seen_count}" + " " * width + "\n"

    return encode


def application_setup(args: list[str]) -> wallaroo.Application:
    last, width = (int(args[args.index(option) + 1]) for option in ("--last", "--width"))
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("generator")
        .new_pipeline("numbers", wallaroo.GenSourceConfig(Numbers(last)))
        .to_state_partition(count, Seen, "seen", remainder_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encoding(width)))
        .build()
    )
