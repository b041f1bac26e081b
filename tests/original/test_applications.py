"""Applications that were written for Wallaroo 0.6 run unchanged."""

import importlib.util
import itertools
import json
import os
import struct
import sys
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wallaroo.testing import collect, simulate
from wallaroo.topology.plan import Application

APPLICATIONS = Path(__file__).parent / "applications"
IN = "first@127.0.0.1:7010,second@127.0.0.1:7011"
OUT = "127.0.0.1:7002"
WORKERS = pytest.mark.parametrize("workers", [1, 3])


@cache
def loaded(name: str) -> Any:
    """Return the module of an application, by a name of its own so that pickle finds it."""
    spec = importlib.util.spec_from_file_location(f"original_{name}", APPLICATIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def plan_of(name: str, *options: str, addresses: str = IN) -> Application:
    arguments = [name, "--in", addresses, "--out", OUT, *options]
    plan: Application = loaded(name).application_setup(arguments)
    return plan


def output_of(plan: Application, workers: int, /, **inputs: list[bytes]) -> list[bytes]:
    """Return what the only sink gets of these inputs, by the names of the sources."""
    names = {name.replace(" ", "_"): name for name in (each.name for each in plan.pipelines)}
    collected = collect(
        plan, {names[name]: items for name, items in inputs.items()}, workers=workers
    )
    assert collected.failures == ()
    (output,) = collected.encoded.values()
    return output


VOTES = [(letter, number) for number in (1, 30, 7, 1 << 20) for letter in b"abcxa"]


def votes() -> list[bytes]:
    return [struct.pack(">sI", bytes([letter]), number) for letter, number in VOTES]


def expected_votes() -> dict[str, list[int]]:
    """Return the totals of each letter, in order."""
    totals: defaultdict[str, list[int]] = defaultdict(list)
    for letter, number in VOTES:
        of_letter = totals[chr(letter)]
        of_letter.append((of_letter[-1] if of_letter else 0) + number)
    return dict(totals)


@WORKERS
def test_alphabet_counts_the_votes_of_each_letter(workers: int) -> None:
    output = output_of(plan_of("alphabet"), workers, alphabet=votes())
    totals: defaultdict[str, list[int]] = defaultdict(list)
    for line in output:
        letter, _, total = line.decode().partition(" => ")
        totals[letter].append(int(total))
    assert totals == expected_votes()


@pytest.mark.parametrize("seed", range(6))
def test_alphabet_counts_each_vote_once_whatever_crashes(seed: int) -> None:
    # Votes of one size give the same totals in any order, which is not kept across a crash.
    senders = [[struct.pack(">sI", letter, 3) for letter in (b"a", b"b", b"a")] * 10] * 2
    result = simulate(plan_of("alphabet"), {"alphabet": senders}, seed=seed)
    counted = {key: state.votes for key, state in result.states["add votes"].items()}
    assert counted == {"a": 120, "b": 60}


LINES = ["It was the best of times,", "it was the worst of times;", "-- it was (not) the best."]


@WORKERS
def test_word_count_counts_the_words_of_all_lines(workers: int) -> None:
    plan = plan_of("word_count", addresses="127.0.0.1:7010")
    output = output_of(plan, workers, Split_and_Count=[line.encode() for line in LINES])
    counts = Counter(
        {word: int(count) for word, _, count in (str(line, "utf-8").split() for line in output)}
    )
    assert counts == {
        "it": 3, "was": 3, "the": 3, "best": 2, "of": 2, "times": 2, "worst": 1, "not": 1
    }  # fmt: skip
    assert len(output) == counts.total()


def order(symbol: bytes, number: int) -> bytes:
    order_id = f"{number:06}".encode()
    return struct.pack(
        ">BBI6s4sdd21s", 1, 2, 77, order_id, symbol, 10.0, 5.5, b"20261130-12:00:00.000"
    )


def market_data(symbol: bytes, bid: float, offer: float) -> bytes:
    return struct.pack(">B4s21sdd", 2, symbol, b"20261130-12:00:00.000", bid, offer)


def rejected(output: list[bytes]) -> list[tuple[bytes, bytes, float, float]]:
    """Return order id, symbol, bid and offer of each result."""
    results = []
    for frame in output:
        (length,) = struct.unpack(">I", frame[:4])
        assert length == len(frame) - 4
        _, _, order_id, symbol, _, _, bid, offer = struct.unpack(">BI6s4sdddd", frame[4:])
        results.append((order_id, symbol, bid, offer))
    return results


NARROW = [market_data(b"IBM ", 100.0, 100.01), market_data(b"AAPL", 50.0, 51.0)]


@WORKERS
def test_market_spread_rejects_orders_of_symbols_with_a_wide_spread(workers: int) -> None:
    orders = [order(b"IBM ", 1), order(b"AAPL", 2), order(b"NEW ", 3)]
    plan = plan_of("market_spread")
    before = output_of(plan, workers, Orders=orders, Market_Data=NARROW)
    assert sorted(rejected(before)) == [
        (b"000001", b"IBM ", 0.0, 0.0),
        (b"000002", b"AAPL", 0.0, 0.0),
        (b"000003", b"NEW ", 0.0, 0.0),
    ]
    behind = output_of(plan, workers, Market_Data=NARROW, Orders=orders)
    assert sorted(rejected(behind)) == [
        (b"000002", b"AAPL", 50.0, 51.0),
        (b"000003", b"NEW ", 0.0, 0.0),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_market_spread_keeps_its_market_data_whatever_crashes(seed: int) -> None:
    # The order of records is not kept across a crash, so all market data of a symbol is the same,
    # and each order is rejected, whether it comes early or late.
    market = [market_data(symbol, 10.0, 11.0) for symbol in (b"IBM ", b"AAPL") * 20]
    result = simulate(
        plan_of("market_spread"),
        {"Orders": [[order(b"IBM ", number) for number in range(20)]], "Market Data": [market]},
        seed=seed,
        cut_output="frames",
        view_output=without_market_data,
    )
    offers = {key: state.offer for key, state in result.states["Check Market Data"].items()}
    assert offers == {b"IBM ": 11.0, b"AAPL": 11.0}


def without_market_data(frame: bytes) -> bytes:
    return frame[:-16]


def amounts(last: int) -> list[int]:
    """Return the amounts of the transactions that both generators make."""
    found = [1]
    for _ in range(last):
        found.append((found[-1] * 2305843009213693951 + 7) % 2500 - 1250)
    return found


@WORKERS
def test_alerts_without_state_tell_of_each_large_transaction(workers: int) -> None:
    output = output_of(plan_of("alerts_stateless"), workers)
    large = [amount for amount in amounts(200) if abs(amount) > 1000]
    assert len(large) > 20
    assert Counter(line.decode() for line in output) == Counter(
        f"{'deposit' if amount > 0 else 'withdrawal'} alert: {amount}\n" for amount in large
    )


@WORKERS
def test_alerts_with_state_tell_of_each_large_total(workers: int) -> None:
    users = loaded("alerts_stateful").USERS
    totals: Counter[str] = Counter()
    expected = []
    for number, amount in enumerate(amounts(300)):
        user = users[number % len(users)]
        totals[user] += amount
        if abs(totals[user]) > 2000:
            kind = "Deposit" if totals[user] > 0 else "Withdrawal"
            expected.append(f"{kind} alert for {user}: {totals[user]}\n")
    output = output_of(plan_of("alerts_stateful"), workers)
    assert len(expected) > 20
    assert sorted(line.decode() for line in output) == sorted(expected)


@WORKERS
def test_the_classifier_marks_each_row_with_its_process(workers: int) -> None:
    rows = [f"row {number}".encode() for number in range(50)]
    output = output_of(plan_of("parallel_classifier"), workers, Classifier=rows)
    texts = [frame[4:].decode() for frame in output]
    assert texts == [f"{row.decode()}:{os.getpid()}" for row in rows]


PARTS = [
    [*key, computation, *modifier]
    for key in ([], ["--key-by"])
    for computation in ("--stateless", "--state")
    for modifier in ([], ["--filter"], ["--multi"])
]
MESSAGES = [(number, f"{number % 5}") for number in range(10)]


def expected_messages(options: list[str]) -> Counter[str]:
    """Return the lines that a topology writes."""
    messages: list[tuple[int, str, list[str]]] = [(value, key, []) for value, key in MESSAGES]
    tags = loaded("topology_tester").steps([word[2:].replace("-", "_") for word in options])
    for _, computation in tags:
        name, modifier = computation.function.name, computation.function.modifier
        tagged = [(value, key, [*seen, name]) for value, key, seen in messages]
        if modifier == "filter":
            tagged = [each for each in tagged if not each[1].endswith("1")]
        if modifier == "multi":
            tagged = [
                (value, key + end, seen) for value, key, seen in tagged for end in (".0", ".1")
            ]
        messages = tagged
    return Counter(json.dumps([value, key, seen]) for value, key, seen in messages)


@pytest.mark.parametrize(
    "options",
    [[*first, *second] for first, second in itertools.product(PARTS, PARTS)],
    ids=lambda options: "".join(options)[2:].replace("--", "-"),
)
def test_a_topology_tags_what_goes_through_it(options: list[str]) -> None:
    plan = plan_of("topology_tester", *options)
    messages = [value.to_bytes(8, "big") + key.encode() for value, key in MESSAGES]
    for workers in (1, 2):
        output = output_of(plan, workers, topology_tester=messages)
        assert Counter(line.decode().rstrip() for line in output) == expected_messages(options)


def in_any_order(state: Any) -> Any:
    """Return a state of a topology without the order in which it saw its values."""
    kind, attributes = state
    return kind, sorted(attributes["values"])


def test_a_long_topology_survives_crashes() -> None:
    # A sender that connects again may reach another worker. After a crash both replay their
    # journals at the same time, so the order of its records is not kept.
    options = [*PARTS[11], *PARTS[1], *PARTS[9], *PARTS[4], *PARTS[10]]
    messages = [value.to_bytes(8, "big") + key.encode() for value, key in MESSAGES]
    for seed in range(4):
        simulate(
            plan_of("topology_tester", *options),
            {"topology_tester": [messages]},
            seed=seed,
            view_state=in_any_order,
        )
