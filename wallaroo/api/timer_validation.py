"""Mistakes of ``ttl`` and its companions that only the whole application shows."""

from collections.abc import Iterator, Sequence

from wallaroo.api.drafts import PipelineDraft
from wallaroo.api.inspection import Problem
from wallaroo.timing.keyed_timing import Expiry
from wallaroo.topology.graph import Graph, SourceLocation, StepDeclaration
from wallaroo.topology.plan import Application, keyed_timing_steps


def expiry_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    """Yield a sentence for each step that says something else of a state than the first one."""
    first: dict[str, StepDeclaration] = {}
    told: dict[str, SourceLocation] = {}
    """By state: the step that has ``on_expire``."""
    for draft in drafts:
        for step in draft.steps:
            if step.state is None:
                continue
            name, timing = step.state.name, step.computation.timing
            known = first.setdefault(name, step)
            if _expiry(known) != _expiry(step):
                what = f"the state {name!r} {_kept(step)} here, but {_kept(known)} at {known.place}"
                remedy = "give the same ttl, ttl_clock and exact to all computations of a state"
                yield Problem(what, remedy).at(step.place)
            if timing is not None and timing.on_expire is not None:
                if name in told:
                    what = f"the state {name!r} has on_expire twice, first at {told[name]}"
                    yield Problem(what, "keep one of them").at(step.place)
                told.setdefault(name, step.place)


def event_time_mistakes(graph: Graph, plan: Application) -> list[str]:
    """Return a sentence for each state that expires exactly, if its records have no event time."""
    declared = [step for pipeline in graph.pipelines for step in pipeline.steps]
    return [
        Problem(
            f"step {step.name!r} has exact=True, and its records have no event time",
            "give the source time=wallaroo.event_time(...), or leave exact out",
        ).at(declared[step.id].place)
        for _, _, _, step in keyed_timing_steps(plan)
        if step.timing is not None
        and step.timing.expiry is not None
        and step.timing.expiry.is_exact
        and not step.timing.has_event_time
    ]


def _expiry(step: StepDeclaration) -> Expiry | None:
    timing = step.computation.timing
    return None if timing is None else timing.expiry


def _kept(step: StepDeclaration) -> str:
    expiry = _expiry(step)
    return "has no ttl" if expiry is None else expiry.describe()
