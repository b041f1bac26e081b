"""The alphabet with one more part, chosen by an argument: filter, map, split, merge or prefix.

``split`` keeps few and many votes apart and adds each up by itself. ``merge`` changes few and many
in different ways and adds them up together. ``prefix`` counts all votes beside adding them up. Each
record gives one line. The bare loop does all of it in one function.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3] / "examples" / "alphabet"))

import alphabet

import wallaroo

FEW = 6


class Few(alphabet.TotalVotes):
    __slots__ = ()


def has_votes(data: Any) -> Any:
    return data.votes > 0


def are_few(data: Any) -> Any:
    return data.votes < FEW


def doubled(data: Any) -> Any:
    return alphabet.Votes(data.letter, 2 * data.votes)


def one_more(data: Any) -> Any:
    return alphabet.Votes(data.letter, data.votes + 1)


@wallaroo.state_computation("add votes", state=alphabet.TotalVotes)
def add_votes(data: Any, state: Any) -> Any:
    state.votes += data.votes
    return alphabet.Votes(data.letter, state.votes)


@wallaroo.state_computation("count votes", state=alphabet.TotalVotes)
def count_votes(data: Any, state: Any) -> None:
    state.votes += 1


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    source = wallaroo.TCPSourceConfig(in_host, in_port, alphabet.decode_votes)
    sink = wallaroo.TCPSinkConfig(out_host, out_port, alphabet.encode_votes)
    votes = wallaroo.source("votes", source)

    def added(pipeline: Any, name: str, state: Any = alphabet.TotalVotes) -> Any:
        letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
        by = alphabet.letter_of
        return pipeline.to_state_partition(alphabet.add_votes, state, name, by, letters).to_sink(
            sink
        )

    if "filter" in args:
        ends = [added(votes.filter(has_votes), "all")]
    elif "map" in args:
        ends = [added(votes.map(doubled), "all")]
    elif "prefix" in args:
        keyed = votes.key_by(alphabet.letter_of)
        ends = [keyed.to(count_votes).done(), keyed.to(add_votes).to_sink(sink)]
    else:
        few, many = votes.split(are_few)
        if "merge" in args:
            ends = [added(few.map(doubled).merge(many.map(one_more)), "all")]
        else:
            ends = [added(few, "few", Few), added(many, "many")]
    return wallaroo.build_application("graphs", *ends)


class Bare:
    """The same functions in one loop."""

    def __init__(self, args: list[str]) -> None:
        runs = {
            "filter": self._run_filter,
            "map": self._run_map,
            "split": self._run_split,
            "merge": self._run_merge,
            "prefix": self._run_prefix,
        }
        self.run = runs[args[0]]
        self.states: dict[str, Any] = {}
        self.others: dict[str, Any] = {}

    def _run_filter(self, payloads: list[bytes]) -> list[bytes]:
        decode, partition = alphabet.decode_votes.function, alphabet.letter_of.function
        compute, encode = alphabet.add_votes.function, alphabet.encode_votes.function
        states, output = self.states, []
        for payload in payloads:
            record = decode(payload)
            if not has_votes(record):
                continue
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = alphabet.TotalVotes()
            total, _ = compute(record, state)
            output.append(encode(total))
        return output

    def _run_map(self, payloads: list[bytes]) -> list[bytes]:
        decode, partition = alphabet.decode_votes.function, alphabet.letter_of.function
        compute, encode = alphabet.add_votes.function, alphabet.encode_votes.function
        states, output = self.states, []
        for payload in payloads:
            record = doubled(decode(payload))
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = alphabet.TotalVotes()
            total, _ = compute(record, state)
            output.append(encode(total))
        return output

    def _run_split(self, payloads: list[bytes]) -> list[bytes]:
        decode, partition = alphabet.decode_votes.function, alphabet.letter_of.function
        compute, encode = alphabet.add_votes.function, alphabet.encode_votes.function
        few, many, output = self.states, self.others, []
        for payload in payloads:
            record = decode(payload)
            key = partition(record)
            if are_few(record):
                state = few.get(key)
                if state is None:
                    state = few[key] = Few()
            else:
                state = many.get(key)
                if state is None:
                    state = many[key] = alphabet.TotalVotes()
            total, _ = compute(record, state)
            output.append(encode(total))
        return output

    def _run_merge(self, payloads: list[bytes]) -> list[bytes]:
        decode, partition = alphabet.decode_votes.function, alphabet.letter_of.function
        compute, encode = alphabet.add_votes.function, alphabet.encode_votes.function
        states, output = self.states, []
        for payload in payloads:
            record = decode(payload)
            record = doubled(record) if are_few(record) else one_more(record)
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = alphabet.TotalVotes()
            total, _ = compute(record, state)
            output.append(encode(total))
        return output

    def _run_prefix(self, payloads: list[bytes]) -> list[bytes]:
        decode, partition = alphabet.decode_votes.function, alphabet.letter_of.function
        compute, encode = add_votes.function, alphabet.encode_votes.function
        count = count_votes.function
        states, counts, output = self.states, self.others, []
        for payload in payloads:
            record = decode(payload)
            key = partition(record)
            counted = counts.get(key)
            if counted is None:
                counted = counts[key] = alphabet.TotalVotes()
            count(record, counted)
            state = states.get(key)
            if state is None:
                state = states[key] = alphabet.TotalVotes()
            output.append(encode(compute(record, state)))
        return output
