"""Counts votes for the letters of the alphabet, each letter on the worker that owns it."""

import string
import struct

import wallaroo

VOTES = struct.Struct(">cI")


class Votes:
    """Votes for one letter: some more of them on the way in, all so far on the way out."""

    __slots__ = ("letter", "votes")

    def __init__(self, letter: str, votes: int) -> None:
        self.letter = letter
        self.votes = votes


class TotalVotes:
    """The state of one letter. Wallaroo makes one for each letter when its first votes come."""

    __slots__ = ("votes",)

    def __init__(self) -> None:
        self.votes = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_votes(payload: bytes) -> Votes:
    letter, votes = VOTES.unpack(payload)
    return Votes(letter.decode("ascii"), votes)


@wallaroo.partition
def letter_of(data: Votes) -> str:
    return data.letter


@wallaroo.state_computation("add votes")
def add_votes(data: Votes, state: TotalVotes) -> tuple[Votes, bool]:
    state.votes += data.votes
    return Votes(data.letter, state.votes), True


@wallaroo.encoder
def encode_votes(data: Votes) -> bytes:
    return f"{data.letter} => {data.votes}\n".encode()


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    letters = list(string.ascii_lowercase)
    return (
        wallaroo.ApplicationBuilder("alphabet")
        .new_pipeline("votes", wallaroo.TCPSourceConfig(in_host, in_port, decode_votes))
        .to_state_partition(add_votes, TotalVotes, "letter state", letter_of, letters)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_votes))
        .build()
    )
