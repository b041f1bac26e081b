"""What is measured: applications, their input, and the clusters that run them."""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

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
    record_count: int = 2_000_000
    target: str = ""


SCENARIOS = [
    Scenario(name="1 worker", module="letters", target="1.15"),
    Scenario(name="2 workers", module="letters", workers=2, target="1.5"),
    Scenario(name="4 workers", module="letters", workers=4, target="1.5"),
    Scenario(
        name="2 workers, 8 connections",
        module="letters",
        workers=2,
        connections=8,
        target="1.5",
    ),
    Scenario(
        name="2 workers, objects travel",
        module="letters",
        arguments=("objects",),
        workers=2,
        target="2.1",
    ),
    Scenario(name="1,000 keys", module="counters", key_count=1_000),
    Scenario(name="100,000 keys", module="counters", key_count=100_000),
    Scenario(name="1,000,000 keys", module="counters", key_count=1_000_000, target="1.3"),
    Scenario(
        name="100-byte payloads", module="counters", payload_bytes=100, key_count=100, target="1.1"
    ),
    Scenario(
        name="10-KiB payloads",
        module="counters",
        payload_bytes=10 << 10,
        key_count=100,
        record_count=200_000,
        target="1.1",
    ),
]


def make_sample(scenario: Scenario, folder: Path) -> Sample:
    """Return the scenario's input; drawn with a fixed seed where it is not the example's."""
    if scenario.module == "letters":
        return Sample(VOTES, 9)
    chance = random.Random(1)
    frame_count = min(scenario.record_count, max(10_000, 2 * scenario.key_count))
    if scenario.payload_bytes > 1000:
        frame_count = 1_000
    header = struct.pack(">I", scenario.payload_bytes)
    padding = b"x" * (scenario.payload_bytes - 4)
    path = folder / f"{scenario.payload_bytes}-{scenario.key_count}.bin"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(frame_count):
                key = struct.pack(">I", chance.randrange(scenario.key_count))
                file.write(header + key + padding)
    return Sample(path, scenario.payload_bytes + 4)
