"""States that are no class of the application: built-in types, functions, subclasses."""

from collections import Counter, defaultdict
from functools import partial

import wallaroo


class Seen:
    def __init__(self, limit: int = 10) -> None:
        self.limit = limit
        self.words: set[str] = set()


class SeenOften(Seen):
    """A state of a subclass serves a computation of its base class."""


@wallaroo.decoder(header_length=2, length_fmt=">H")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.state_computation("count")
def count(word: str, counts: Counter[str]) -> tuple[str, bool]:
    counts[word] += 1
    return word, True


@wallaroo.state_computation("note lengths")
def note_lengths(word: str, lengths: dict[str, int]) -> tuple[str, bool]:
    lengths[word] = len(word)
    return word, True


@wallaroo.state_computation("group")
def group(word: str, groups: defaultdict[str, list[str]]) -> tuple[str, bool]:
    groups[word[:1]].append(word)
    return word, True


@wallaroo.state_computation("only new ones")
def only_new(word: str, seen: Seen) -> tuple[str, bool] | tuple[None, bool]:
    if word in seen.words or len(seen.words) >= seen.limit:
        return None, False
    seen.words.add(word)
    return word, True


@wallaroo.encoder
def encode(word: str) -> str:
    return word + "\n"


def groups() -> defaultdict[str, list[str]]:
    return defaultdict(list)


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("words")
        .new_pipeline("words", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to_stateful(count, Counter, "counts")
        .to_stateful(note_lengths, dict, "lengths")
        .to_stateful(group, groups, "groups")
        .to_stateful(only_new, SeenOften, "seen often")
        .to_stateful(only_new, partial(Seen, 5), "seen")
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )
