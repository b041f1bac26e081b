"""Counts the words of a file on Ray: the application itself knows nothing of Ray."""

import argparse
import re
from collections import Counter
from typing import NamedTuple

import wallaroo

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


class WordCount(NamedTuple):
    """A word and how often it has been seen."""

    word: str
    total: int


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_line(payload: bytes) -> str:
    return payload.decode("utf-8")


@wallaroo.computation_multi("split into words")
def split(line: str) -> list[str]:
    return WORD.findall(line.lower())


@wallaroo.partition
def word_itself(word: str) -> str:
    return word


@wallaroo.state_computation("count word")
def count_word(word: str, counts: Counter[str]) -> tuple[WordCount, bool]:
    counts[word] += 1
    return WordCount(word, counts[word]), True


@wallaroo.encoder
def encode_count(data: WordCount) -> str:
    return f"{data.word} {data.total}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", default="lines.txt")
    parser.add_argument("--counts", default="counts.txt")
    options, _ = parser.parse_known_args(args[1:])
    return (
        wallaroo.ApplicationBuilder("on_ray")
        .new_pipeline(
            "lines", wallaroo.FileSourceConfig(options.lines, decode_line, framing="newline")
        )
        .to(split)
        .to_state_partition(count_word, Counter, "word counts", word_itself)
        .to_sink(wallaroo.FileSinkConfig(options.counts, encode_count))
        .build()
    )
