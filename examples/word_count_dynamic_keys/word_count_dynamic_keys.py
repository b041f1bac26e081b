"""Counts the words of a text with a state for each word, made when the word is first seen."""

import re
from dataclasses import dataclass

import wallaroo

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class WordCount:
    """A word and how often it has been seen."""

    word: str
    count: int


class WordTotal:
    """The state of one word."""

    def __init__(self) -> None:
        self.count = 0


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
def count_word(word: str, total: WordTotal) -> tuple[WordCount, bool]:
    total.count += 1
    return WordCount(word, total.count), True


@wallaroo.encoder
def encode_count(data: WordCount) -> str:
    return f"{data.word} => {data.count}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("word count, dynamic keys")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode_line))
        .to(split)
        .to_state_partition(count_word, WordTotal, "word total", word_itself)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_count))
        .build()
    )
