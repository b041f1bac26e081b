"""Counts words that come over the standard input; shows the counts on the standard output."""

from collections import Counter

import wallaroo
from shared_codecs import itself
from wallaroo_connectors.stdio import StdinSource, StdoutSink


def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.state_computation("count")
def count(word: str, seen: Counter[str]) -> tuple[str, bool]:
    seen[word] += 1
    return f"{word} {seen[word]}", True


def application_setup(_: list[str]) -> wallaroo.Application:
    return (
        wallaroo.ApplicationBuilder("piped")
        .new_pipeline("words", StdinSource(decode))
        .to_state_partition(count, Counter, "counts", itself)
        .to_sink(StdoutSink(name="stdout"))
        .build()
    )
