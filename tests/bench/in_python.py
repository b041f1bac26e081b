"""What runs in the calling process cost: ``wallaroo.run(workers=0)`` and ``collect``.

``python -m tests.bench.in_python`` compares them with the bare loop over the functions of alphabet.
"""

import random
import string
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import wallaroo
from wallaroo.testing import TestSink, TestSource, collect

sys.path.append(str(Path(__file__).parents[2] / "examples" / "alphabet"))

import alphabet

RECORDS = 500_000
ROUNDS = 5


def main() -> None:
    """Print the CPU time of both beside that of the bare loop, as medians of rounds."""
    letters = random.Random(1).choices(string.ascii_lowercase.encode(), k=RECORDS)
    payloads = [alphabet.VOTES.pack(bytes((letter,)), 3) for letter in letters]
    plan = alphabet.application_setup(["alphabet", "--in", "127.0.0.1:0", "--out", "127.0.0.1:1"])
    runs: list[float] = []
    collections: list[float] = []
    for _ in range(ROUNDS):
        bare_s = cpu_s(lambda: bare(payloads))
        start_s = cpu_s(lambda: run([]))
        runs.append((cpu_s(lambda: run(payloads)) - start_s) / bare_s)
        collections.append(RECORDS / cpu_s(lambda: collect(plan, {"votes": payloads})))
    sys.stdout.write(f"run(workers=0): {median(runs):.2f} x the bare loop, without its start\n")
    sys.stdout.write(f"collect: {median(collections):,.0f} records a second of CPU\n")


def cpu_s(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def bare(payloads: list[bytes]) -> list[bytes]:
    decode, letter_of = alphabet.decode_votes.function, alphabet.letter_of.function
    add, encode = alphabet.add_votes.function, alphabet.encode_votes.function
    states: dict[str, alphabet.TotalVotes] = {}
    results = []
    for payload in payloads:
        votes = decode(payload)
        letter = letter_of(votes)
        state = states.get(letter)
        if state is None:
            state = states[letter] = alphabet.TotalVotes()
        total, _changed = add(votes, state)
        results.append(encode(total))
    return results


def run(payloads: list[bytes]) -> None:
    decode: Any = wallaroo.computation("decode")(alphabet.decode_votes.function)
    encode: Any = wallaroo.computation("encode")(alphabet.encode_votes.function)
    plan = (
        wallaroo.ApplicationBuilder("alphabet")
        .new_pipeline("votes", TestSource(payloads))
        .to(decode)
        .to_state_partition(
            alphabet.add_votes, alphabet.TotalVotes, "letter state", alphabet.letter_of
        )
        .to(encode)
        .to_sink(TestSink())
        .build()
    )
    wallaroo.run(plan, workers=0)


if __name__ == "__main__":
    main()
