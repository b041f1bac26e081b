"""Mistakes of ``with_time()``, which only make sense with the whole pipeline in view."""

from collections.abc import Iterator, Sequence

from wallaroo.api.drafts import DraftTime, PipelineDraft
from wallaroo.api.inspection import Problem
from wallaroo.timing.spec import EventTime
from wallaroo.topology.graph import StepKind


def time_order_mistakes(drafts: Sequence[PipelineDraft]) -> Iterator[str]:
    """Yield a sentence for each ``with_time()`` that is not where it can be."""
    for draft in drafts:
        for index, time in enumerate(draft.times):
            for problem in _problems(draft, index, time):
                yield problem.at(time.place)


def _problems(draft: PipelineDraft, index: int, time: DraftTime) -> Iterator[Problem]:
    moving = _first_that_moves(draft, time.after)
    if draft.feeds:
        yield Problem(
            f"with_time() is in the pipeline {draft.name!r}, which other pipelines feed",
            "call it directly behind a source, before merge(), split() and steps that are used "
            "twice",
        )
    elif moving is not None:
        yield Problem(
            f"with_time() comes after the step {moving!r}, before which records change worker or "
            "at which they wait",
            "call it before that step",
        )
    if index:
        first = draft.times[0].place
        yield Problem("with_time() is called twice", f"keep one; the first is at {first}")
    elif draft.source is not None and draft.source.time is not None:
        yield Problem("with_time() is called, and the source has a time=", "keep one of them")
    elif isinstance(time.times, EventTime) and time.times.timestamp is None and time.after:
        yield Problem(
            "with_time() has event_time(source_time) behind a step", "give the source time="
        )


def _first_that_moves(draft: PipelineDraft, count: int) -> str | None:
    for step in draft.steps[:count]:
        stays = step.placement is StepKind.FUSED and step.partition is None
        if not stays or step.computation.waiting is not None:
            return step.computation.name
    return None
