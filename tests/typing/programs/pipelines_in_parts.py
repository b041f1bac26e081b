"""Helpers that take and return pipelines, and both styles in one application."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: object) -> str:
    return f"{record}\n"


@wallaroo.partition
def word_itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, counts: dict[str, int]) -> tuple[tuple[str, int], bool]:
    counts[word] = counts.get(word, 0) + 1
    return (word, counts[word]), True


def words_of(lines: wallaroo.Pipeline[str]) -> wallaroo.Pipeline[str]:
    return lines.flat_map(str.split).filter(len)


def lengths(words: wallaroo.Pipeline[str]) -> wallaroo.Pipeline[int]:
    return words.map(len)


def application_setup(args: list[str]) -> wallaroo.Application:
    (in_host, in_port), (other_host, other_port), *_ = wallaroo.tcp_parse_input_addrs(args)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink: wallaroo.SinkConfig[object] = wallaroo.TCPSinkConfig(out_host, out_port, encode)
    words = words_of(wallaroo.source("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode)))
    counted = words.to_state_partition(count, dict, "counts", word_itself, ["a", "b"])
    return (
        wallaroo.ApplicationBuilder("both")
        .new_pipeline("others", wallaroo.TCPSourceConfig(other_host, other_port, decode))
        .map(str.strip)
        .filter(len)
        .key_by(len)
        .to(len)
        .to_sinks([sink, sink])
        .add(counted.to_sink(sink), lengths(words).collect().to(hex).done())
        .build()
    )
