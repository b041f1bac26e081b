"""Two pipelines share a state, and each has a sink of its own."""

import wallaroo
from shared_codecs import decode_pair, encode_pair, key_of_pair
from sums import Sum, add


@wallaroo.encoder
def encode_second(pair: tuple[str, int]) -> str:
    return f"second: {pair[0]} {pair[1]}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    sources = wallaroo.tcp_parse_input_addrs(args)
    first, second = wallaroo.tcp_parse_output_addrs(args)
    builder = wallaroo.ApplicationBuilder("two pipelines")
    sinks = [
        wallaroo.TCPSinkConfig(*first, encode_pair),
        wallaroo.TCPSinkConfig(*second, encode_second),
    ]
    for number, sink in enumerate(sinks):
        source = wallaroo.TCPSourceConfig(*sources[number], decode_pair)
        builder.new_pipeline(f"pipeline {number}", source)
        builder.to_state_partition(add, Sum, "totals", key_of_pair)
        builder.to_sink(sink)
    return builder.build()
