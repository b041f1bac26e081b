"""Applications of pipelines that are fed by pipelines, and what they must give, by definition.

``expected`` interprets the declarations record by record. It shares no code with the compiler and
the chains. Steps do not depend on the order of records, so results are compared as multisets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import wallaroo
from wallaroo.connectors.base import Sink, Source
from wallaroo.connectors.tcp import TCPSink
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.graph import (
    ComputationDeclaration,
    Feed,
    Graph,
    Inner,
    PartitionDeclaration,
    PipelineDeclaration,
    PredicateDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import CONSTANT_KEY, Application

PLACE = SourceLocation("app.py", 1)
STATES_MAX = 6


class Seen:
    """Records that a state computation was called with."""

    def __init__(self) -> None:
        self.records: list[int] = []

    def __repr__(self) -> str:
        return f"Seen({sorted(self.records)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and sorted(self.records) == sorted(other.records)

    __hash__ = None  # type: ignore[assignment]


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> int:
    return int(payload)


@wallaroo.encoder
def encode(record: int) -> bytes:
    return b"%d\n" % record


def plus_one(record: int) -> int:
    return record + 1


def triple(record: int) -> int | None:
    return None if record % 11 == 0 else record * 3


def picky(record: int) -> int:
    if record % 13 == 0:
        raise ValueError(f"{record} is refused")
    return record


def twice(record: int) -> list[int]:
    return [record, record + 2]


def some(record: int) -> list[int | None]:
    return [record] * (record % 3) + [None]


def is_odd(record: int) -> bool:
    return record % 2 == 1


def is_small(record: int) -> bool:
    if record % 17 == 0:
        raise ValueError(f"{record} cannot be compared")
    return record % 100 < 60


def by_seven(record: int) -> int:
    return record % 7


def by_text(record: int) -> str:
    if record % 19 == 0:
        raise ValueError(f"{record} has no key")
    return f"k{record % 5}"


def remember(record: int, seen: Seen) -> tuple[int, bool]:
    seen.records.append(record)
    return record, True


def remember_and_forget(record: int, seen: Seen) -> tuple[int | None, bool]:
    seen.records.append(record)
    return (None if record % 3 == 0 else record), True


COMPUTATIONS = {
    "plus one": ComputationDeclaration("plus one", plus_one, False),
    "triple": ComputationDeclaration("triple", triple, False),
    "picky": ComputationDeclaration("picky", picky, False),
    "twice": ComputationDeclaration("twice", twice, True),
    "some": ComputationDeclaration("some", some, True),
    "odd": ComputationDeclaration("odd", is_odd, False, is_filter=True),
    "small": ComputationDeclaration("small", is_small, False, is_filter=True),
}
REMEMBER = ComputationDeclaration("remember", remember, False)
FORGET = ComputationDeclaration("remember and forget", remember_and_forget, False)
BY_SEVEN = PartitionDeclaration("by_seven", by_seven)
BY_TEXT = PartitionDeclaration("by_text", by_text)
ONE_KEY = PartitionDeclaration("one key")
PREDICATES = {
    "odd": PredicateDeclaration("is_odd", is_odd),
    "small": PredicateDeclaration("is_small", is_small),
}


def to(name: str, by: PartitionDeclaration | None = None) -> StepDeclaration:
    """Return a step without state, behind ``key_by`` if there is a partition."""
    return StepDeclaration(StepKind.FUSED, COMPUTATIONS[name], PLACE, partition=by)


def parallel(name: str, by: PartitionDeclaration | None = None) -> StepDeclaration:
    return StepDeclaration(StepKind.PARALLEL, COMPUTATIONS[name], PLACE, partition=by)


def state(
    name: str,
    by: PartitionDeclaration | None = None,
    computation: ComputationDeclaration = REMEMBER,
) -> StepDeclaration:
    declared = StateDeclaration(name, Seen, ())
    return StepDeclaration(StepKind.FUSED, computation, PLACE, declared, by)


def partitioned(name: str, by: PartitionDeclaration, *keys: Any) -> StepDeclaration:
    declared = StateDeclaration(name, Seen, keys)
    return StepDeclaration(StepKind.PARTITIONED_STATE, REMEMBER, PLACE, declared, by)


def tcp_source(port: int = 0) -> Source:
    return wallaroo.TCPSourceConfig("localhost", port, decode).source()


def tcp_sink(port: int = 9) -> Sink:
    return TCPSink("h", port, encode.encode)


def source(name: str, *steps: StepDeclaration, **more: Any) -> PipelineDeclaration:
    return PipelineDeclaration(name, tcp_source(), steps, more.pop("sinks", ()), **more)


def fed(
    name: str, feeds: Iterable[int | tuple[int, int]], *steps: StepDeclaration, **more: Any
) -> PipelineDeclaration:
    """Return a pipeline that is fed by others: by an end, or by (pipeline, branch)."""
    inner = Inner(tuple(Feed(each) if isinstance(each, int) else Feed(*each) for each in feeds))
    return PipelineDeclaration(name, inner, steps, more.pop("sinks", ()), **more)


def compiled(*pipelines: PipelineDeclaration) -> Application:
    return compile_graph(Graph("graph", pipelines))


@dataclass
class Expected:
    """What an application gives for its input."""

    rows: dict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By identity of the sink."""
    states: dict[str, dict[Any, list[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By pipeline and step."""
    entered: Counter[str] = field(default_factory=Counter)
    """Records that a pipeline got, by name."""


def expected(pipelines: tuple[PipelineDeclaration, ...], records: dict[str, list[int]]) -> Expected:
    """Return what the application gives for these records, by the name of the source's pipeline."""
    result = Expected()
    for index, declared in enumerate(pipelines):
        for record in records.get(declared.name, []):
            _Walk(pipelines, result).enter(index, None, record)
    return result


@dataclass
class _Walk:
    pipelines: tuple[PipelineDeclaration, ...]
    result: Expected

    def enter(self, index: int, key: Any, record: int) -> None:
        self.result.entered[self.pipelines[index].name] += 1
        self._steps(index, 0, key, record)

    def _steps(self, index: int, position: int, key: Any, record: int) -> None:
        declared = self.pipelines[index]
        if position == len(declared.steps):
            self._leave(index, key, record)
            return
        step = declared.steps[position]
        if step.partition is not None:
            try:
                key = _key(step.partition, record)
            except ValueError:
                self.result.failures[declared.name, step.partition.name] += 1
                return
        try:
            results = self._called(step, key, record)
        except ValueError:
            self.result.failures[declared.name, step.computation.name] += 1
            return
        for each in results:
            if each is not None:
                self._steps(index, position + 1, key, each)

    def _called(self, step: StepDeclaration, key: Any, record: int) -> list[Any]:
        function = step.computation.function
        if step.state is not None:
            seen = Seen()
            output, _ = function(record, seen)
            self.result.states[step.state.name][key] += seen.records
            return [output]
        output = function(record)
        if step.computation.is_filter:
            return [record] if output else []
        return output if step.computation.is_multi else [output]

    def _leave(self, index: int, key: Any, record: int) -> None:
        declared = self.pipelines[index]
        for sink in declared.sinks:
            self.result.rows[id(sink)][record] += 1
        fed = [
            (other, feed.branch)
            for other, pipeline in enumerate(self.pipelines)
            if isinstance(pipeline.source, Inner)
            for feed in pipeline.source.feeds
            if feed.pipeline == index
        ]
        try:
            if declared.key is not None and fed:
                key = _key(declared.key, record)
        except ValueError:
            assert declared.key is not None
            self.result.failures[declared.name, declared.key.name] += 1
            return
        branch: int | None = None
        for number, predicate in enumerate(declared.branches if fed else ()):
            try:
                if predicate.function(record):
                    branch = number
                    break
            except ValueError:
                self.result.failures[declared.name, predicate.name] += 1
                return
        else:
            branch = len(declared.branches) if declared.branches else None
        for other, wanted in fed:
            if wanted == branch:
                self.enter(other, key, record)


def _key(by: PartitionDeclaration, record: int) -> Any:
    return CONSTANT_KEY if by.function is None else by.function(record)


def random_graph(random: Random, sinks: list[Sink]) -> tuple[PipelineDeclaration, ...]:
    """Return an application with merges, splits and shared sinks."""
    return _RandomGraph(random, sinks).build()


@dataclass
class _RandomGraph:
    random: Random
    sinks: list[Sink]
    pipelines: list[PipelineDeclaration] = field(default_factory=list)
    has_key: list[bool] = field(default_factory=list)
    state_count: int = 0

    def build(self) -> tuple[PipelineDeclaration, ...]:
        random = self.random
        for _ in range(random.randint(1, 3)):
            self._add(tcp_source(), has_key=False)
        for _ in range(random.randint(2, 7)):
            if random.random() < 0.15:
                self._add(tcp_source(), has_key=False)
                continue
            feeds: list[Feed] = []
            for _ in range(random.choice((1, 1, 2, 2, 3))):
                index = random.randrange(len(self.pipelines))
                branches = self.pipelines[index].branches
                feed = Feed(index, random.randint(0, len(branches)) if branches else None)
                if feed not in feeds:
                    feeds.append(feed)
            has_key = all(self.has_key[feed.pipeline] for feed in feeds)
            self._add(Inner(tuple(feeds)), has_key=has_key)
        return tuple(self.pipelines)

    def _add(self, start: Source | Inner, *, has_key: bool) -> None:
        random = self.random
        steps: list[StepDeclaration] = []
        for _ in range(random.choice((0, 0, 1, 2, 3))):
            by = random.choice((None, None, BY_SEVEN, BY_TEXT, ONE_KEY))
            kind = random.choice(("to", "to", "parallel", "state", "state", "partitioned"))
            if kind in ("state", "partitioned") and self.state_count < STATES_MAX:
                has_key = self._add_state(steps, kind, by, has_key=has_key)
            elif kind == "parallel":
                keeps = has_key and not any(
                    step.placement is StepKind.PARTITIONED_STATE for step in steps
                )
                steps.append(parallel(random.choice([*COMPUTATIONS]), by))
                has_key = by is not None or keeps
            else:
                steps.append(to(random.choice([*COMPUTATIONS]), by))
                has_key = has_key or by is not None
        branches: tuple[PredicateDeclaration, ...] = ()
        sinks: tuple[Sink, ...] = ()
        if random.random() < 0.3:
            count = random.randint(1, 2)
            branches = tuple(random.choice([*PREDICATES.values()]) for _ in range(count))
        elif random.random() < 0.6:
            sinks = tuple(random.sample(self.sinks, random.randint(1, min(2, len(self.sinks)))))
        key = random.choice((None, None, BY_SEVEN, BY_TEXT, ONE_KEY))
        name = f"p{len(self.pipelines)}"
        self.pipelines.append(PipelineDeclaration(name, start, tuple(steps), sinks, branches, key))
        self.has_key.append(has_key or key is not None)

    def _add_state(
        self,
        steps: list[StepDeclaration],
        kind: str,
        by: PartitionDeclaration | None,
        *,
        has_key: bool,
    ) -> bool:
        name = f"s{self.state_count}"
        if kind == "partitioned":
            keys = (1, 2) if self.random.random() < 0.5 else ()
            steps.append(partitioned(name, BY_SEVEN, *keys))
        elif by is not None or has_key:
            steps.append(state(name, by, self.random.choice((REMEMBER, FORGET))))
        else:
            return has_key
        self.state_count += 1
        return True
