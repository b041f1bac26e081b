"""Records from one TCP source to one TCP sink, as they are."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(data: bytes) -> bytes:
    return data


@wallaroo.encoder
def encode(data: bytes) -> bytes:
    return data


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,), (sink,) = wallaroo.tcp_parse_input_addrs(args), wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("totals")
        .new_pipeline("records", wallaroo.TCPSourceConfig(*source, decode))
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
