"""Counts words from two sources; filters some, splits some and fails at some."""

from collections import Counter

import wallaroo
from shared_codecs import encode_text, itself


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_all_but_comments(payload: bytes) -> str | None:
    return None if payload.startswith(b"#") else payload.decode()


@wallaroo.computation("check")
def check(text: str) -> str | None:
    if text.startswith("bad"):
        raise ValueError(text)
    return None if text.startswith("skip") else text


@wallaroo.computation_multi("split")
def split(text: str) -> list[str]:
    return text.split()


@wallaroo.state_computation("count")
def count(word: str, seen: Counter[str]) -> tuple[str | None, bool]:
    seen[word] += 1
    return (None if word == "silent" else f"{word} {seen[word]}"), True


def application_setup(args: list[str]) -> wallaroo.Application:
    first, second = wallaroo.tcp_parse_input_addrs(args)
    (out,) = wallaroo.tcp_parse_output_addrs(args)
    sink = wallaroo.TCPSinkConfig(*out, encode_text)
    words = wallaroo.ApplicationBuilder("words")
    words.new_pipeline("texts", wallaroo.TCPSourceConfig(*first, decode_all_but_comments))
    words.to(check).to(split)
    words.to_state_partition(count, Counter, "counts", itself).to_sink(sink)
    words.new_pipeline("words", wallaroo.TCPSourceConfig(*second, decode_all_but_comments))
    words.to_parallel(check)
    return words.to_state_partition(count, Counter, "counts", itself).to_sink(sink).build()
