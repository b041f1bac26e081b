"""What is measured beside the bare loop: applications, their input, the clusters that run them."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.samples import write_documents, write_keys

VOTES = Path(__file__).parents[2] / "examples" / "alphabet" / "votes.bin"


@dataclass(frozen=True, slots=True)
class Sample:
    """A file of frames of one size, each a u32 big-endian length and a payload."""

    path: Path
    frame_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    workers: int = 1
    connections: int = 1
    payload_bytes: int = 8
    key_count: int = 26
    is_each_key_once: bool = False
    """Keys in order, each one once, in place of drawn at random."""
    record_count: int = 700_000
    is_durable: bool = False
    """With checkpoints, one a second."""
    target: str = ""
    """The ratio to the bare loop that it is to stay below."""
    group: str = "cost"

    @property
    def bare_loop(self) -> object:
        """Equal for scenarios whose bare loop and input are the same."""
        return (self.module, self.arguments, self.payload_bytes, self.key_count, self.record_count)


def _letters(workers: int, target: str) -> Scenario:
    name = f"{workers} worker{'s' if workers > 1 else ''}"
    return Scenario(name=name, module="letters", workers=workers, target=target)


def _growth(key_count: int, workers: int) -> Scenario:
    return Scenario(
        name=f"{key_count:,} keys, {workers} worker{'s' if workers > 1 else ''}",
        module="counters",
        workers=workers,
        key_count=key_count,
        record_count=max(500_000, key_count),
        group="growth",
    )


COST = [
    _letters(1, "1.15"),
    _letters(2, "1.5"),
    _letters(4, "1.5"),
    _letters(8, ""),
    Scenario(
        name="2 workers, 8 connections", module="letters", workers=2, connections=8, target="1.5"
    ),
    Scenario(
        name="2 workers, objects travel",
        module="letters",
        arguments=("objects",),
        workers=2,
        target="2.1",
    ),
    Scenario(
        name="1,000,000 keys drawn",
        module="counters",
        key_count=1_000_000,
        record_count=1_500_000,
        target="1.3",
    ),
    Scenario(
        name="100-byte payloads",
        module="documents",
        payload_bytes=100,
        key_count=100,
        record_count=120_000,
        target="1.1",
    ),
    Scenario(
        name="10-KiB payloads",
        module="documents",
        payload_bytes=10 << 10,
        key_count=100,
        record_count=4_000,
        target="1.1",
    ),
]

GROWTH = [
    _growth(key_count, workers)
    for key_count in (1_000, 100_000, 1_000_000)
    for workers in (1, 2, 4, 8)
]

SCENARIOS = COST + GROWTH
"""Neighbours share a bare loop where they can: one run of it then stands between two clusters."""


def make_sample(scenario: Scenario, folder: Path) -> Sample:
    """Return the scenario's input; drawn with a fixed seed where it is not the example's."""
    if scenario.module == "letters":
        return Sample(VOTES, 9)
    order = "-in-order" if scenario.is_each_key_once else ""
    name = f"{scenario.module}-{scenario.payload_bytes}-{scenario.key_count}{order}.bin"
    path = folder / name
    if not path.exists():
        if scenario.module == "documents":
            write_documents(path, scenario.payload_bytes, scenario.key_count)
        else:
            write_keys(
                path,
                scenario.payload_bytes,
                scenario.key_count,
                is_each_key_once=scenario.is_each_key_once,
            )
    return Sample(path, scenario.payload_bytes + 4)
