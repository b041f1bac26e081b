"""What runs in the calling process cost, with the functions of alphabet.

``python -m tests.bench.in_python run`` compares ``wallaroo.run(workers=0)`` with the bare loop, and
``collect`` instead of ``run`` measures ``wallaroo.testing.collect``.
"""

import json
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

RECORDS = 100_000
TURNS = 5


def main() -> None:
    """Print the result of what the command line names."""
    letters = random.Random(1).choices(string.ascii_lowercase.encode(), k=RECORDS)
    payloads = [alphabet.VOTES.pack(bytes((letter,)), 3) for letter in letters]
    measure = {"run": ratio_of_run, "collect": rate_of_collect}[sys.argv[1]]
    sys.stdout.write(json.dumps(measure(payloads)))


def ratio_of_run(payloads: list[bytes]) -> float:
    """Return the CPU time of a run, without its start, over that of the bare loop.

    The two take turns, since CPUs change their speed, and each has all its records in one call.
    """
    run(payloads)
    ratios = []
    for _ in range(TURNS):
        before_s, started_s = cpu_s(lambda: bare(payloads)), cpu_s(lambda: run([]))
        run_s, after_s = cpu_s(lambda: run(payloads)), cpu_s(lambda: bare(payloads))
        ratios.append(2 * (run_s - started_s) / (before_s + after_s))
    return median(ratios)


def rate_of_collect(payloads: list[bytes]) -> float:
    """Return how many records ``collect`` takes through alphabet in a second of CPU."""
    plan = alphabet.application_setup(["alphabet", "--in", "127.0.0.1:0", "--out", "127.0.0.1:1"])
    times_s = [cpu_s(lambda: collect(plan, {"votes": payloads})) for _ in range(TURNS)]
    return RECORDS / median(times_s)


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
