# mypy: ignore-errors
"""Votes for letters: a state for each letter, written for Wallaroo 0.6."""

import struct

import wallaroo


def application_setup(args):
    in_name, in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    votes = wallaroo.source(
        "alphabet", wallaroo.TCPSourceConfig(in_name, in_host, in_port, decode_votes)
    )
    pipeline = (
        votes.key_by(extract_letter)
        .to(add_votes)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_votes))
    )
    return wallaroo.build_application("alphabet", pipeline)


class Votes:
    def __init__(self, letter, votes):
        self.letter = letter
        self.votes = votes


class LetterTotal:
    votes = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_votes(bs):
    letter, votes = struct.unpack(">sI", bs)
    return Votes(letter.decode(), votes)


@wallaroo.key_extractor
def extract_letter(data):
    return data.letter


@wallaroo.state_computation(name="add votes", state=LetterTotal)
def add_votes(data, state):
    state.votes += data.votes
    return Votes(data.letter, state.votes)


@wallaroo.encoder
def encode_votes(data):
    return (data.letter + " => " + str(data.votes) + "\n").encode()
