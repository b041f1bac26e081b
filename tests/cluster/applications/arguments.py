"""Writes the arguments of each process into the folder that a variable of the environment names."""

import json
import os
from pathlib import Path

import wallaroo
from shared_codecs import decode_pair, encode_pair, key_of_pair
from sums import Sum, add


def application_setup(args: list[str]) -> wallaroo.Application:
    written = Path(os.environ["ARGUMENTS_FOLDER"]) / f"{os.getpid()}.json"
    written.write_text(json.dumps(args))
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("arguments")
        .new_pipeline("numbers", wallaroo.TCPSourceConfig(*source, decode_pair))
        .to_state_partition(add, Sum, "totals", key_of_pair)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_pair))
        .build()
    )
