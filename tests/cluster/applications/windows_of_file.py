"""Reads words with times from the file ``in``; writes windows of them to ``out``.

An argument says which windows they are: ``tumbling``, ``sliding``, ``sessions``, ``counts``, or
``chained``, which are windows over the results of windows.
"""

import json
from typing import Any

import wallaroo
from wallaroo import aggregate, milliseconds, seconds

Word = tuple[str, int]
"""A word and its time in milliseconds."""

SIZE = seconds(10)
EVERY = seconds(4)
GAP = milliseconds(150)
COUNT = 7


@wallaroo.decoder
def decode(line: bytes) -> Word:
    word, at = line.decode().split()
    return word, int(at)


@wallaroo.timestamp("ms")
def said_at(word: Word) -> int:
    return word[1]


@wallaroo.key_extractor
def word_of(word: Word) -> str:
    return word[0]


@wallaroo.encoder
def encode(result: wallaroo.Result) -> str:
    return json.dumps([result.key, result.start, result.end, result.value]) + "\n"


def windows_of(kind: str) -> Any:
    windows: dict[str, Any] = {
        "tumbling": wallaroo.tumbling(SIZE),
        "sliding": wallaroo.sliding(SIZE, every=EVERY),
        "sessions": wallaroo.session(GAP),
        "counts": wallaroo.count_windows(COUNT).partial("emit"),
    }
    return windows[kind].over(aggregate.count())


def application_setup(args: list[str]) -> wallaroo.Application:
    kind = next(each for each in args if each in (*KINDS, "chained"))
    time = wallaroo.event_time(said_at, out_of_order=seconds(3))
    source = wallaroo.FileSourceConfig("in", decode, "newline", time=time)
    words = wallaroo.source("words", source).key_by(word_of)
    if kind == "chained":
        total = wallaroo.tumbling(SIZE).over(aggregate.sum(lambda result: result.value))
        results = words.to(windows_of("tumbling")).collect().to(total)
    else:
        results = words.to(windows_of(kind))
    return wallaroo.build_application(
        "windows", results.to_sink(wallaroo.FileSinkConfig("out", encode))
    )


KINDS = ("tumbling", "sliding", "sessions", "counts")
