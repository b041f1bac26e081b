"""Has functions of its own to turn records into bytes; results say whether a record travelled."""

import json

import wallaroo
from shared_codecs import decode_pair
from sums import Sum


class Vote:
    def __init__(self, key: str, number: int, came_from: str = "here") -> None:
        self.key = key
        self.number = number
        self.came_from = came_from

    def __reduce__(self) -> str:
        raise TypeError("this application serializes its records itself")


def serialize(vote: Vote) -> bytes:
    return json.dumps([vote.key, vote.number]).encode()


def deserialize(data: bytes) -> Vote:
    key, number = json.loads(data)
    return Vote(key, number, came_from="elsewhere")


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_vote(payload: bytes) -> Vote:
    return Vote(*decode_pair.decode(payload))


@wallaroo.partition
def key_of_vote(vote: Vote) -> str:
    return vote.key


@wallaroo.state_computation("add votes")
def add_votes(vote: Vote, state: Sum) -> tuple[tuple[str, int, str], bool]:
    state.total += vote.number
    return (vote.key, state.total, vote.came_from), True


@wallaroo.encoder
def encode_total(record: tuple[str, int, str]) -> str:
    key, total, came_from = record
    return f"{key} {total} {came_from}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("own serialization")
        .new_pipeline("votes", wallaroo.TCPSourceConfig(*source, decode_vote))
        .to_state_partition(add_votes, Sum, "totals", key_of_vote)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_total))
        .build()
    )
