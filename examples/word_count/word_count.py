"""Counts the words of a text: lines are split on all workers, words counted where they belong."""

import re
import string
from dataclasses import dataclass

import wallaroo

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
OTHER = "!"
"""Key of the words that begin with something else than a letter from a to z."""


@dataclass(frozen=True, slots=True)
class WordCount:
    """A word and how often it has been seen."""

    word: str
    count: int


class WordTotals:
    """The state of one initial letter: all words that begin with it."""

    def __init__(self) -> None:
        self.by_word: dict[str, int] = {}

    def add(self, word: str) -> int:
        total = self.by_word.get(word, 0) + 1
        self.by_word[word] = total
        return total


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_line(payload: bytes) -> str:
    return payload.decode("utf-8")


@wallaroo.computation_multi("split into words")
def split(line: str) -> list[str]:
    return WORD.findall(line.lower())


@wallaroo.partition
def initial_of(word: str) -> str:
    return word[0] if word[0] in string.ascii_lowercase else OTHER


@wallaroo.state_computation("count word")
def count_word(word: str, totals: WordTotals) -> tuple[WordCount, bool]:
    return WordCount(word, totals.add(word)), True


@wallaroo.encoder
def encode_count(data: WordCount) -> str:
    return f"{data.word} => {data.count}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    initials = [*string.ascii_lowercase, OTHER]
    return (
        wallaroo.ApplicationBuilder("word count")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode_line))
        .to_parallel(split)
        .to_state_partition(count_word, WordTotals, "word totals", initial_of, initials)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_count))
        .build()
    )
