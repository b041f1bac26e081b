"""Gives each result to two sinks, of which one wants only half of them."""

import wallaroo
from shared_codecs import decode_pair, encode_pair, key_of_pair
from sums import Sum, add


@wallaroo.encoder
def encode_even(pair: tuple[str, int]) -> str | None:
    return None if pair[1] % 2 else f"{pair[0]}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    first, second = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("two sinks")
        .new_pipeline("numbers", wallaroo.TCPSourceConfig(*source, decode_pair))
        .to_state_partition(add, Sum, "totals", key_of_pair)
        .to_sinks(
            [
                wallaroo.TCPSinkConfig(*first, encode_pair),
                wallaroo.TCPSinkConfig(*second, encode_even),
            ]
        )
        .build()
    )
