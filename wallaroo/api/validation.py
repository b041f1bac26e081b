"""Checks that need the whole application.

Each check examines the drafts of all pipelines and yields a sentence for each mistake. Objects that
have mistakes by themselves are not in the drafts; they are already reported.
"""

from collections.abc import Iterator, Sequence
from os.path import normpath

from wallaroo.api.drafts import PipelineDraft
from wallaroo.api.inspection import Problem
from wallaroo.connectors.base import Sink
from wallaroo.topology.graph import (
    Graph,
    PartitionDeclaration,
    SourceLocation,
    StateDeclaration,
    StepKind,
)
from wallaroo.topology.plan import Application, waiting_steps
from wallaroo.topology.waiting import HELD, Order


def application_mistakes(drafts: Sequence[PipelineDraft], place: SourceLocation) -> Iterator[str]:
    """Yield the mistakes of the pipelines together; ``place`` is that of the application."""
    if not drafts:
        problem = Problem("the application has no pipeline", "give it one that has a source")
        yield problem.at(place)
    elif not any(draft.closed_by in ("to_sink", "to_sinks") for draft in drafts):
        problem = Problem(
            "no pipeline of the application has a sink", "end at least one with to_sink()"
        )
        yield problem.at(place)
    for draft in drafts:
        if not draft.closed_by:
            yield _open_mistake(draft)
    yield from _name_mistakes(drafts)
    yield from _state_mistakes(drafts)
    yield from _early_key_mistakes(drafts)
    yield from _address_mistakes(drafts)
    yield from _path_mistakes(drafts)
    yield from _sink_name_mistakes(drafts)
    yield from _stdin_mistakes(drafts)


def _open_mistake(draft: PipelineDraft) -> str:
    """Return the sentence for a pipeline that nothing ended."""
    problem = Problem(
        f"the pipeline {draft.name!r} is left open", "end it with to_sink(), to_sinks() or done()"
    )
    return problem.at(draft.place)


def _name_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    first: dict[str, SourceLocation] = {}
    for draft in drafts:
        if draft.name is None:
            continue
        if draft.name in first:
            what = f"the pipeline name {draft.name!r} is taken by the one at {first[draft.name]}"
            yield Problem(what, "give each pipeline a name of its own").at(draft.place)
        first.setdefault(draft.name, draft.place)


def _state_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    first: dict[str, tuple[StateDeclaration, SourceLocation]] = {}
    used: list[dict[str, SourceLocation]] = []
    """By pipeline: the states on all ways to its end."""
    for draft in drafts:
        in_pipeline: dict[str, SourceLocation] = {}
        for feed in draft.feeds:
            in_pipeline = {**used[feed.pipeline], **in_pipeline}
        used.append(in_pipeline)
        for step in draft.steps:
            if step.state is None:
                continue
            name = step.state.name
            if name.endswith(HELD):
                what = f"the state name {name!r} ends with {HELD}, as the states of records do that"
                remedy = "give it another name"
                yield Problem(f"{what} wait at a step", remedy).at(step.place)
            if name in in_pipeline:
                problem = Problem(
                    f"the state {name!r} is used twice in one pipeline, first at "
                    f"{in_pipeline[name]}",
                    "a pipeline may not come back to a state: merge the two computations, or "
                    "give one of them a state of its own",
                )
                yield problem.at(step.place)
            in_pipeline.setdefault(name, step.place)
            declared, place = first.setdefault(name, (step.state, step.place))
            for problem in _state_conflicts(declared, step.state, place):
                yield problem.at(step.place)


def _early_key_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    """Yield the mistakes of payload keys and source keys, which only a first step may have."""
    for draft in drafts:
        for index, step in enumerate(draft.steps):
            if not _is_early(step.partition):
                continue
            place = draft.key_places.get(index, step.place)
            if step.placement is StepKind.PARALLEL:
                what = f"{_called(step.partition)} is before to_parallel()"
                remedy = "give key_by() a function, or call to_parallel() first"
                yield Problem(what, remedy).at(place)
            else:
                yield from _place_problems(draft, index, step.partition, place)
        if _is_early(draft.key):
            what = f"{_called(draft.key)} is before {_end_in_words(draft)}, and not before a step"
            remedy = "give key_by() a function, or call it once behind its source, with one step"
            yield Problem(what, remedy).at(draft.key_places[len(draft.steps)])


def _place_problems(
    draft: PipelineDraft,
    index: int,
    key: PartitionDeclaration | None,
    place: SourceLocation,
) -> Iterator[str]:
    """Yield what is wrong if such a key belongs to the step with this index."""
    assert key is not None
    lacks = "whose records have no key" if key.by_source_key else "which makes other records"
    if index > 0:
        before = draft.steps[0].computation.name
        what = f"{_called(key)} is behind the step {before!r}, {lacks}"
        remedy = "give a partition function, or key the first step of the pipeline"
        yield Problem(what, remedy).at(place)
    elif draft.feeds:
        what = f"{_called(key)} is in the pipeline {draft.name!r}, which is fed by another one"
        remedy = "give a partition function, or let nothing else follow the source"
        yield Problem(what, remedy).at(place)
    elif draft.source is not None and key.by_source_key and draft.source.key is None:
        what = f"the source of pipeline {draft.name!r} has no keys"
        remedy = 'give it key="utf-8" if it can have them, or give a partition function'
        yield Problem(what, remedy).at(place)
    elif draft.source is not None and not key.by_source_key and draft.source.decoder is None:
        what = f"the source of pipeline {draft.name!r} has no payloads to find a key in"
        yield Problem(what, "give a partition function").at(place)


def _is_early(key: PartitionDeclaration | None) -> bool:
    return key is not None and (key.by_source_key or key.payload_key is not None)


def _called(key: PartitionDeclaration | None) -> str:
    return "source_key" if key is not None and key.by_source_key else "a payload_key()"


def _end_in_words(draft: PipelineDraft) -> str:
    return "split()" if draft.branches else "merge(), or before several pipelines"


def _state_conflicts(
    first: StateDeclaration, again: StateDeclaration, place: SourceLocation
) -> Iterator[Problem]:
    """Yield the conflicts between two declarations of one name; ``place`` is that of the first."""
    if first.create is not again.create and first.create != again.create:
        ours, theirs = _class_name(again), _class_name(first)
        yield Problem(
            f"the state {again.name!r} has class {ours} here, but {theirs} at {place}",
            "use one class, or another state name",
        )
    if (first.keys is None) != (again.keys is None):
        here, there = _partitioning(again), _partitioning(first)
        yield Problem(
            f"the state {again.name!r} is {here} here, but {there} at {place}",
            "use to_state_partition() for both, or another state name",
        )
    elif set(first.keys or ()) != set(again.keys or ()):
        yield Problem(
            f"the state {again.name!r} has other partition_keys here than at {place}",
            "declare the same keys, or use another state name",
        )


def _address_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    first: dict[str, PipelineDraft] = {}
    for draft in drafts:
        address = "" if draft.source is None else draft.source.listening_address
        if not address or address.endswith(":0"):
            continue
        taken = first.setdefault(address, draft)
        if taken is not draft:
            problem = Problem(
                f"the pipeline {draft.name!r} listens at {address}, as does "
                f"{taken.name!r} at {taken.place}",
                "give each source a port of its own",
            )
            yield problem.at(draft.place)


def _path_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    """Compare paths as written; the start of a run finds different paths to the same file."""
    read_by = {
        normpath(path): draft
        for draft in drafts
        if draft.source is not None
        for path in draft.source.files
    }
    written_by: dict[str, PipelineDraft] = {}
    for sink, draft in _sinks(drafts):
        if (path := sink.path) is None:
            continue
        writes = f"the pipeline {draft.name!r} writes to {path}"
        reader, writer = read_by.get(normpath(path)), written_by.get(normpath(path))
        if reader is not None:
            what = f"{writes}, which {reader.name!r} at {reader.place} reads"
            yield Problem(what, "write to another file").at(draft.place)
        if writer is not None:
            what = f"{writes}, as does {writer.name!r} at {writer.place}"
            yield Problem(what, "give each sink a file of its own").at(draft.place)
        written_by.setdefault(normpath(path), draft)


def _sink_name_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    taken: dict[str, PipelineDraft] = {}
    for index, (sink, draft) in enumerate(_sinks(drafts)):
        shown = sink.name or f"sink {index}"
        if shown in taken:
            what = f"two sinks are named {shown!r}; the other one is at {taken[shown].place}"
            yield Problem(what, "give each sink a name of its own").at(draft.place)
        taken.setdefault(shown, draft)


def _sinks(drafts: Sequence[PipelineDraft]) -> Iterator[tuple[Sink, PipelineDraft]]:
    """Yield each sink once, in the order of the plan, with the first pipeline that has it."""
    known: set[int] = set()
    for draft in drafts:
        for sink in draft.sinks:
            if id(sink) not in known:
                known.add(id(sink))
                yield sink, draft


def _stdin_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    readers = [draft for draft in drafts if draft.source is not None and draft.source.reads_stdin]
    for draft in readers[1:]:
        what = (
            f"the pipeline {draft.name!r} reads the standard input, as does {readers[0].name!r} "
            f"at {readers[0].place}"
        )
        yield Problem(what, "read it in one pipeline").at(draft.place)


def _class_name(state: StateDeclaration) -> str:
    return str(getattr(state.create, "__qualname__", type(state.create).__qualname__))


def _partitioning(state: StateDeclaration) -> str:
    return "one object (to_stateful)" if state.keys is None else "partitioned by key"


def order_mistakes(graph: Graph, plan: Application) -> list[str]:
    """Return a line for each step that keeps the order of keys, if its records have none."""
    declared = [step for pipeline in graph.pipelines for step in pipeline.steps]
    return [
        Problem(
            f'step {step.name!r} has order="key", and records have no key here',
            'put a step before it that has keys, or give order="all" or "none"',
        ).at(declared[step.id].place)
        for step in waiting_steps(plan)
        if step.waiting is not None and step.waiting.order is Order.KEY and not step.waiting.has_key
    ]
