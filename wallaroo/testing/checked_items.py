"""Finds mistakes of a caller of ``collect`` before anything runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wallaroo.describing import a_type
from wallaroo.durations import duration_ns
from wallaroo.errors import WallarooParameterError
from wallaroo.suggestions import did_you_mean
from wallaroo.testing.checked_input import common_mistakes
from wallaroo.testing.virtual_time import Advance, AdvanceWall, Record
from wallaroo.topology.plan import Application, Pipeline


def checked_items(application: object, inputs: object, workers: object) -> dict[str, list[Any]]:
    """Return the items of each source, as lists.

    Raises ``WallarooParameterError`` with all mistakes: unknown sources, something else than lists.
    """
    mistakes = [*common_mistakes(application, workers)]
    if not isinstance(inputs, Mapping):
        mistakes.append(
            f"inputs is {a_type(inputs)}; give a dict with a list of items for each source"
        )
    if mistakes:
        raise WallarooParameterError(mistakes)
    assert isinstance(application, Application)
    assert isinstance(inputs, Mapping)
    pipelines = {pipeline.name: pipeline for pipeline in application.pipelines}
    items: dict[str, list[Any]] = {}
    for name, given in inputs.items():
        if name not in pipelines:
            mistakes.append(_unknown(name, pipelines))
        elif not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            mistakes.append(
                f"the items of source {name!r} are {a_type(given)}; give a list of items"
            )
        else:
            items[name] = [*given]
            mistakes += _item_mistakes(application, pipelines[name], items[name])
    if mistakes:
        raise WallarooParameterError(mistakes)
    return items


def _unknown(name: object, known: Iterable[str]) -> str:
    meant = did_you_mean(str(name), known)
    names = ", ".join(map(repr, known))
    return (
        f"inputs has {name!r}, and the application has no source of that name; "
        f"{meant}its sources are: {names}"
    )


def _item_mistakes(plan: Application, pipeline: Pipeline, items: Sequence[Any]) -> Iterator[str]:
    """Yield the first mistake of a list; the others are usually the same."""
    yield from _time_mistakes(pipeline, items)
    if is_keyed(pipeline):
        for number, item in enumerate(items):
            if isinstance(item, Advance | AdvanceWall):
                continue
            if not isinstance(item, tuple) or len(item) != 2:
                yield (
                    f"{_item(number, pipeline)} is {a_type(item)}; its records are routed by the "
                    "keys of the source: give pairs of a key and an item"
                )
                return
    reached = [plan.flows[each] for each in plan.reached_from(plan.pipelines.index(pipeline))]
    stages = [stage for flow in reached for stage in flow.stages]
    if any(each.exchange and each.exchange.payload_key for each in stages):
        for number, item in enumerate(items):
            if not isinstance(item, bytes | Advance | AdvanceWall):
                yield (
                    f"{_item(number, pipeline)} is {a_type(item)}; its records are routed by a key "
                    "in the payload: give payloads as bytes"
                )
                return


def _time_mistakes(pipeline: Pipeline, items: Sequence[Any]) -> Iterator[str]:
    """Yield the first mistake in the items that have to do with time."""
    for number, item in enumerate(items):
        what = _item(number, pipeline)
        at: object = item.at if isinstance(item, Record) else None
        if at is not None and not isinstance(at, int):
            yield f"{what} is a Record at {a_type(at)}; give nanoseconds since 1970"
            return
        if isinstance(item, Advance | AdvanceWall):
            try:
                duration_ns(type(item).__name__, item.by)
            except (TypeError, ValueError) as error:
                yield f"{what}: {error}"
                return


def _item(number: int, pipeline: Pipeline) -> str:
    return f"item {number} of source {pipeline.name!r}"


def is_keyed(pipeline: Pipeline) -> bool:
    """Return whether records are routed by the keys that their source gives."""
    return any(
        each.exchange is not None and each.exchange.by_source_key for each in pipeline.stages
    )
