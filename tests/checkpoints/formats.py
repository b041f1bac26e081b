"""Which formats checkpoints have had, and what every stored one of them holds."""

from dataclasses import dataclass
from pathlib import Path

STORED = Path(__file__).parent / "stored"
APPLICATION = Path(__file__).parent / "stored_totals.py"
COUNTS_APPLICATION = Path(__file__).parent / "stored_counts.py"
COUNTS = Path(__file__).parent / "stored_counts" / "splits-tombstones-and-results.tar.xz"
"""A checkpoint of that application; ``tests.checkpoints.counts`` makes it."""
GRAPH_APPLICATION = Path(__file__).parent / "stored_graph.py"
GRAPH = Path(__file__).parent / "stored_graph" / "branches-and-held-records.tar.xz"
"""A checkpoint of that application; ``tests.checkpoints.graph`` makes it."""
HELD_STATES = ("ask~held", "ask owner~held")
"""The states in which it has the records that wait at its steps."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format, as the first commit wrote it that could run with it."""

    name: str
    commit: str
    may_grow: bool = False
    """Whether clusters of that commit can grow, which fills what only a resize writes."""

    @property
    def archive(self) -> Path:
        return STORED / f"{self.name}.tar.xz"


FORMATS = (
    Format("1-first", "5d8f0e0"),
    Format("2-base-of-a-manifest", "c5a00d4"),
    Format("3-pause-and-copies", "02b208b"),
    Format("4-counts", "2503e7e"),
    Format("5-resizes", "d429db2", may_grow=True),
    Format("6-last-before-ends-of-journals", "4ff8034", may_grow=True),
    Format("7-ends-of-journals", "a29cd01", may_grow=True),
    Format("8-shapes-of-states", "d8b921b", may_grow=True),
    Format("9-today", "dfb52c7", may_grow=True),
    Format("10-outbox-and-lineage", "087477c", may_grow=True),
)
"""A change of the format adds its commit here, and the checkpoint that this one writes."""

LINE_COUNT = 3000
LINE_KEYS = 7
SENT_COUNT = 600
SENT_KEYS = 40


def payloads_of(letter: str, count: int, key_count: int) -> list[bytes]:
    return [f"{letter}{number % key_count} {number}".encode() for number in range(count)]


LINES = payloads_of("r", LINE_COUNT, LINE_KEYS)
"""What the file source reads."""

SENT = payloads_of("s", SENT_COUNT, SENT_KEYS)
"""What the TCP source has accepted when the run is killed."""

Totals = dict[str, dict[object, tuple[int, int, int]]]
"""By state and key: count, sum and sum of squares of the numbers."""


def expected_totals(more_sent: list[bytes]) -> Totals:
    """Return the final states, once all lines are read and all that was sent is processed."""
    totals: Totals = {"by key": {}, "by remainder": {}}
    for payload in [*LINES, *SENT, *more_sent]:
        key, number = payload.decode().split()
        _add(totals["by key"], key, int(number))
        if key.startswith("r"):
            _add(totals["by remainder"], (key[0], int(number) % 5), int(number))
    return totals


def _add(totals: dict[object, tuple[int, int, int]], key: object, number: int) -> None:
    count, total, squares = totals.get(key, (0, 0, 0))
    totals[key] = (count + 1, total + number, squares + number * number)
