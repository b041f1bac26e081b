"""Recipes of the guide with event time: real workers give what a test gets from ``collect``.

The modules are those that the page shows. Only the sink is another one: what is appended to a file
is there once, so that no result is hidden by another one that is equal.
"""

import importlib
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.durable import kill, lines_in, wait_checkpoints
from tests.cluster.harness import Cluster, running, wait_processed, wait_until
from tests.docs.pages import page
from wallaroo.testing import collect

pytestmark = pytest.mark.cluster

Event = dict[str, Any]
TCP_SINK = 'wallaroo.TCPSinkConfig(host, port, encode, name="results")'
FILE_SINK = 'wallaroo.FileSinkConfig("out", encode, name="results")'
ORDER = "out_of_order=wallaroo.seconds(5)"
IDLE = "idle_after=wallaroo.seconds(1)"
"""The connection that a kill breaks holds the clock for this long."""
CHECKPOINTS = ("--resilience-dir", "kept", "--checkpoint-interval", "0.1")
ADDRESSES = ("--in", "127.0.0.1:0", "--out", "127.0.0.1:1")
LAST = "last"
"""The key of an event a day after all others, which makes everything before it due."""


def view(number: int, rng: random.Random) -> Event:
    page = f"/{min(rng.randrange(30), rng.randrange(30))}"
    return {"user": f"user{rng.randrange(60)}", "page": page}


def request(number: int, rng: random.Random) -> Event:
    return {"endpoint": f"/{rng.randrange(9)}", "status": rng.choice([200, 200, 404, 500])}


def reading(number: int, rng: random.Random) -> Event:
    return {"machine": f"machine{rng.randrange(90)}"}


def record(number: int, rng: random.Random) -> Event:
    return {"number": rng.randrange(900)}


RECIPES: dict[str, Callable[[int, random.Random], Event]] = {
    "sessions": view,
    "error_rate": request,
    "top_ten": view,
    "silence": reading,
    "once": record,
}


def events_of(recipe: str) -> tuple[list[Event], list[Event]]:
    """Return events of two hours in two halves, out of order by less than five seconds."""
    rng = random.Random(recipe)
    times = sorted(range(3_000), key=lambda number: number + rng.random() * 2)
    # While nothing is sent, the clock of `silence` goes on with the wall clock, by some seconds.
    # With minutes between the times of readings it passes no time at which a timer is due.
    step = 60 if recipe == "silence" else 1
    found = [
        {**RECIPES[recipe](number, rng), "at": number * 12 // 5 // step * step} for number in times
    ]
    last: Event = dict.fromkeys(found[0], LAST)
    end = {**last, **({"status": 200} if recipe == "error_rate" else {}), "at": 100_000}
    return found[:1_500], [*found[1_500:], end]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the modules of the page, to run and to import from."""
    shown = page("recipes.md")
    for name in RECIPES:
        (tmp_path / f"{name}.py").write_text(shown.module_text(name))
    shared = shown.module_text("events")
    assert shared.count(TCP_SINK) == 1
    assert shared.count(ORDER) == 1
    shared = shared.replace(TCP_SINK, FILE_SINK).replace(ORDER, f"{ORDER}, {IDLE}")
    (tmp_path / "events.py").write_text(shared)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("events", *RECIPES):
        sys.modules.pop(name, None)


def lines_of(recipe: str, events: list[Event]) -> Counter[str]:
    """Return what the recipe gives, but for the last event."""
    application = importlib.import_module(recipe).application_setup(["recipe", *ADDRESSES])
    given = collect(application, {"events": events})
    assert given.failures == ()
    assert not any(given.late.values())
    return without_the_last(Counter(line.decode().strip() for line in given.encoded["results"]))


def without_the_last(lines: Counter[str]) -> Counter[str]:
    return Counter({line: count for line, count in lines.items() if f'"{LAST}"' not in line})


def found_in(folder: Path) -> Counter[str]:
    return without_the_last(lines_in(folder / "out"))


def send(connection: socket.socket, events: list[Event]) -> None:
    connection.sendall("".join(json.dumps(event) + "\n" for event in events).encode())


@contextmanager
def connected(cluster: Cluster) -> Iterator[socket.socket]:
    address = ("127.0.0.1", cluster.source_port())
    with socket.create_connection(address, timeout=20) as connection:
        yield connection


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_gives_the_same_on_one_and_three_workers_across_a_kill(
    folder: Path, recipe: str, workers: int
) -> None:
    first, second = events_of(recipe)
    expected = lines_of(recipe, [*first, *second])
    options = (*CHECKPOINTS, "--workers", str(workers), *ADDRESSES)
    with running(folder, recipe, *options) as cluster:
        cluster.wait_ready()
        with connected(cluster) as connection:
            send(connection, first)
            wait_processed(connection)
        wait_checkpoints(folder / "kept")
        kill(cluster, "w1")
        cluster.wait_ready(epoch=2)
        with connected(cluster) as connection:
            send(connection, second)
            wait_until("all results", lambda: found_in(folder) >= expected)
        assert found_in(folder) == expected
        assert cluster.stop() == 0
