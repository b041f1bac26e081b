"""Scores 64 bytes by a neural network of numpy, in batches of 64 records."""

import os
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each process is bound to one CPU

import numpy as np

import wallaroo

BATCH = 64
INPUTS, HIDDEN = 64, 1024

chance = np.random.default_rng(1)
first = chance.normal(scale=0.1, size=(INPUTS, HIDDEN)).astype(np.float32)
second = chance.normal(scale=0.1, size=(HIDDEN, HIDDEN)).astype(np.float32)
last = chance.normal(scale=0.1, size=HIDDEN).astype(np.float32)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Any:
    return np.frombuffer(payload, np.uint8)


@wallaroo.computation_batch("score", max_size=BATCH)
def score(records: list[Any]) -> list[float]:
    rows = np.stack(records).astype(np.float32) / 255
    scores: list[float] = (np.tanh(np.tanh(rows @ first) @ second) @ last).tolist()
    return scores


@wallaroo.encoder
def encode(result: float) -> bytes:
    return b"%.4f\n" % result


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("scores")
        .new_pipeline("records", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to(score)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )


class Bare:
    """The same batches in a loop."""

    def __init__(self, _: list[str]) -> None:
        pass

    def run(self, payloads: list[bytes]) -> list[bytes]:
        decode_record, encode_result = decode.function, encode.function
        predict: Any = score.function
        output = []
        for start in range(0, len(payloads), BATCH):
            records = [decode_record(payload) for payload in payloads[start : start + BATCH]]
            output += [encode_result(result) for result in predict(records)]
        return output
