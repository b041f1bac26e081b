"""What is measured beside the bare loop: applications, their input, the clusters that run them."""

from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.samples import count_keys, write_documents, write_keys, write_stamped

KEYS_TO_FILL = 1_000
"""With fewer keys it makes no difference when their states are made."""
VOTES = Path(__file__).parents[2] / "examples" / "alphabet" / "votes.bin"


@dataclass(frozen=True, slots=True)
class Sample:
    """A file of frames of one size, each a u32 big-endian length and a payload."""

    path: Path
    frame_bytes: int
    key_count: int = 0
    """Keys that are in it, if that counts."""
    fill: Path | None = None
    """Frames of the same size with each key once, where making the states is not to be measured."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How long the bare loop runs at a time beside what is measured; seconds."""

    warm_up_s: float
    """CPU time that does not count, at its beginning: others have used the caches."""
    counted_s: float
    """CPU time that counts."""


WARM = Stretch(0.002, 0.01)
"""Where all that the loop touches comes back into the caches at once."""
COLD = Stretch(0.01, 0.02)
"""Where states fill the caches: the loop is 2 % slower in its first 10 ms, and even after them."""


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
    """Keys in order, each one once, instead of drawn at random."""
    record_count: int = 2_000_000
    windows: int = 0
    """Its results come window by window, and there are so many windows; each has all keys of the
    sample. 0: a result for each record."""
    is_from_memory: bool = False
    """The application has its input in a list; nothing is sent."""
    is_durable: bool = False
    """With checkpoints, one a second."""
    target: str = ""
    """The ratio to the bare loop that it is to stay below."""
    group: str = "cost"

    @property
    def is_filled(self) -> bool:
        """Whether all states are made before anything is measured."""
        return self.key_count >= KEYS_TO_FILL and not self.is_each_key_once and not self.windows

    @property
    def stretch(self) -> Stretch:
        """How the bare loop runs beside it."""
        return COLD if self.is_filled else WARM

    def line_count(self, sample: Sample) -> int:
        """Return how many lines come out."""
        return self.windows * sample.key_count if self.windows else self.record_count

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
        record_count=1_000_000,
        group="growth",
    )


def _payload_keys(workers: int, target: str) -> Scenario:
    return Scenario(
        name=f"{workers} workers, payload key",
        module="letters",
        arguments=("payload-key",),
        workers=workers,
        target=target,
    )


def _json(workers: int, arguments: tuple[str, ...], target: str) -> Scenario:
    return Scenario(
        name=f"130-byte JSON, {workers} workers" + (", payload key" if arguments else ""),
        module="documents",
        arguments=arguments,
        workers=workers,
        payload_bytes=130,
        key_count=100,
        record_count=500_000,
        target=target,
    )


def _windows(*arguments: str, target: str = "") -> Scenario:
    return Scenario(
        name=", ".join(["1 worker, tumbling count", *arguments]),
        module="windows",
        arguments=arguments,
        key_count=1_000,
        record_count=39 * 50_000 + 1_000,
        windows=39,
        target=target,
    )


def _graph(part: str, target: str = "1.15") -> Scenario:
    return Scenario(name=f"1 worker, {part}", module="graphs", arguments=(part,), target=target)


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
        record_count=300_000,
        target="1.1",
    ),
    Scenario(
        name="10-KiB payloads",
        module="documents",
        payload_bytes=10 << 10,
        key_count=100,
        record_count=8_000,
        target="1.1",
    ),
    Scenario(
        name="1 worker, partitions in memory", module="letters", is_from_memory=True, target="1.2"
    ),
    _payload_keys(2, "1.4"),
    _payload_keys(4, "1.5"),
    _json(2, (), ""),
    _json(2, ("payload-key",), "1.3"),
    _json(4, ("payload-key",), "1.35"),
    *map(_graph, ("filter", "map", "split", "merge")),
    _graph("prefix", ""),
    Scenario(
        name="1 worker, batches of 64",
        module="scores",
        payload_bytes=64,
        record_count=100_000,
        target="1.10",
    ),
    _windows(target="1.2"),
    _windows("expert", target="1.3"),
]

GROWTH = [
    _growth(key_count, workers)
    for key_count in (1_000, 100_000, 1_000_000)
    for workers in (1, 2, 4, 8)
]


def make_sample(scenario: Scenario, folder: Path) -> Sample:
    """Return the scenario's input; drawn with a fixed seed where it is not the example's."""
    if scenario.module in ("letters", "graphs"):
        return Sample(VOTES, 9)
    order = "-in-order" if scenario.is_each_key_once else ""
    name = f"{scenario.module}-{scenario.payload_bytes}-{scenario.key_count}{order}.bin"
    path = folder / name
    if not path.exists():
        if scenario.module == "documents":
            write_documents(path, scenario.payload_bytes, scenario.key_count)
        elif "stamped" in scenario.arguments:
            write_stamped(path, scenario.payload_bytes, scenario.key_count, scenario.record_count)
        else:
            write_keys(
                path,
                scenario.payload_bytes,
                scenario.key_count,
                is_each_key_once=scenario.is_each_key_once,
            )
    fill = None
    if scenario.is_filled:
        fill = make_sample(replace(scenario, is_each_key_once=True), folder).path
    frame_bytes = scenario.payload_bytes + 4
    key_count = count_keys(path, frame_bytes) if scenario.windows else 0
    return Sample(path, frame_bytes, key_count, fill)
