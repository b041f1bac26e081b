"""Counts words that come as lines; shows each as Python writes it."""

from collections import Counter

import wallaroo
from shared_codecs import decode_text, encode_text, itself


@wallaroo.state_computation("count")
def count(word: str, seen: Counter[str]) -> tuple[str, bool]:
    seen[word] += 1
    return f"{word!r} {seen[word]}", True


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("words")
        .new_pipeline("words", wallaroo.TCPSourceConfig(*source, decode_text, framing="newline"))
        .to_state_partition(count, Counter, "counts", itself)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_text))
        .build()
    )
