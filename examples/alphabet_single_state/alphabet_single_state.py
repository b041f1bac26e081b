"""Counts votes for letters in one state object that knows them all."""

import struct

import wallaroo

VOTES = struct.Struct(">cI")


class Votes:
    """Votes for one letter: some more of them on the way in, all so far on the way out."""

    __slots__ = ("letter", "votes")

    def __init__(self, letter: str, votes: int) -> None:
        self.letter = letter
        self.votes = votes


class AllVotes:
    """The state: one object in the whole cluster, so one worker counts every vote."""

    def __init__(self) -> None:
        self.by_letter: dict[str, int] = {}


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_votes(payload: bytes) -> Votes:
    letter, votes = VOTES.unpack(payload)
    return Votes(letter.decode("ascii"), votes)


@wallaroo.state_computation("add votes")
def add_votes(data: Votes, state: AllVotes) -> tuple[Votes, bool]:
    total = state.by_letter.get(data.letter, 0) + data.votes
    state.by_letter[data.letter] = total
    return Votes(data.letter, total), True


@wallaroo.encoder
def encode_votes(data: Votes) -> str:
    return f"{data.letter} => {data.votes}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("alphabet, single state")
        .new_pipeline("votes", wallaroo.TCPSourceConfig(in_host, in_port, decode_votes))
        .to_stateful(add_votes, AllVotes, "all votes")
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_votes))
        .build()
    )
