"""Checks whether the states of a checkpoint fit the application that is about to restore them.

If the class of a state has changed since the checkpoint, every record of an old key may fail, long
after the start succeeded. So a starting run compares the shape of new objects with their shape at
the time of the checkpoint. If they differ, it refuses to start, unless the application converts old
objects: by a ``__setstate__``, which is tried with objects of the checkpoint, or by an upgrade
function, which workers call while they restore.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.saved_values import saved_values
from wallaroo.checkpoint.shapes import (
    StateShape,
    change_of,
    misfit,
    missing_attributes,
    restores_itself,
)
from wallaroo.checkpoint.store import PartStore
from wallaroo.checkpoint.unpickling import Unreadable
from wallaroo.describing import with_article
from wallaroo.errors import StateObjectError
from wallaroo.function_names import qualified_name
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.timing.window_spec import WindowSpec
from wallaroo.topology.fingerprint import outline, timing_in
from wallaroo.topology.plan import Application, State, held_states
from wallaroo.topology.waiting import HELD

PAGE = "docs/upgrading-state.md"


class UpgradeGate:
    """Compares the states of ``plan``, whose new objects have ``shapes``, with those of a manifest.

    ``info`` and ``warn`` log an event with its values.
    """

    def __init__(
        self,
        plan: Application,
        shapes: dict[str, StateShape],
        store: PartStore,
        info: Callable[[str, dict[str, Any]], None],
        warn: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._plan = plan
        self._held = held_states(plan)
        self._shapes = shapes
        self._store = store
        self._info = info
        self._warn = warn

    def may_differ(self) -> frozenset[str]:
        """Return the states whose class ``check`` judges; their classes in outlines may differ."""
        upgraded = [name for name, state in self._plan.states.items() if state.upgrade is not None]
        return frozenset((*self._shapes, *upgraded))

    async def check(self, base: Manifest, *, may_change: bool) -> None:
        """Raise ``StateObjectError`` if a state of ``base`` must not be restored as it is.

        With ``may_change``, a change is only logged. Also raises the errors of the store.
        """
        current_outline = outline(self._plan)
        for state in self._plan.states.values():
            _check_timing(base, current_outline, state.name)
            if state.name in self._held:
                await self._check_held(base, state, may_change=may_change)
                continue
            before, current = base.shapes.get(state.name), self._shapes.get(state.name)
            if current is None or before == current or not _has_keys(base, state.name):
                continue
            change = change_of(before, current) if before is not None else ""
            facts = {"state": state.name, "checkpoint": base.number, "change": change or "unknown"}
            if state.upgrade is not None:
                following = "its upgrade function converts each object while it is restored"
                self._info("state.upgrading", facts | {"next": following})
            elif may_change:
                self._warn("state.changed", facts | {"next": "its objects are used as they are"})
            elif before is None:
                await self._check_readable(base, state, current)
            else:
                await self._check_fits(base, state, before, current)

    async def _check_held(self, base: Manifest, state: State, *, may_change: bool) -> None:
        """Check the records of a manifest that wait at a step: no new ones can be made."""
        problem = await self._held_problem(base, state.name)
        if not problem:
            return
        facts = {"state": state.name, "checkpoint": base.number, "change": problem}
        if state.upgrade is not None:
            following = "its upgrade function converts each record while it is restored"
            self._info("state.upgrading", facts | {"next": following})
        elif may_change:
            self._warn("state.changed", facts | {"next": "its records are used as they are"})
        else:
            raise StateObjectError(
                f"state {state.name!r} has changed since checkpoint {base.number}: {problem}",
                hint=f"write an @wallaroo.upgrade_state({state.name!r}) function from an old "
                "record to a new one, give its class a __setstate__ that takes both forms, "
                f"or give --allow-changed-state to use the records as they are; see {PAGE}",
            )

    async def _held_problem(self, base: Manifest, state: str) -> str:
        step = state.removesuffix(HELD)
        for value in await saved_values(base, self._store, state):
            if type(value) is Unreadable:
                return f"records that wait at step {step!r} cannot be unpickled: {value.error}"
            for held in value:
                if missing := missing_attributes(held.record):
                    kind = with_article(qualified_name(type(held.record)))
                    return f"{kind} that waits at step {step!r} has no {', '.join(missing)}"
        return ""

    async def report_dropped_records(self, base: Manifest) -> None:
        """Log the records of ``base`` that wait at steps which the plan does not have.

        Raises the errors of the store.
        """
        for wire in base.partition_maps:
            name = PartitionMap.from_wire(wire).state
            if not name.endswith(HELD) or name in self._plan.states:
                continue
            values = await saved_values(base, self._store, name, may_be_removed=True)
            if values:
                facts = {
                    "step": name.removesuffix(HELD),
                    "checkpoint": base.number,
                    "record_count": sum(len(each) if type(each) is list else 1 for each in values),
                    "hint": "to process them, run the application that has this step first",
                    "next": "they are dropped with the step",
                }
                self._warn("step.records_dropped", facts)

    async def _check_readable(self, base: Manifest, state: State, current: StateShape) -> None:
        """Check objects of a manifest that does not record the shape of new objects."""
        async for objects in self._samples(base, state.name):
            bad = [each for each in objects if type(each) is Unreadable]
            if bad and len(bad) == len(objects):
                what = f"its objects cannot be unpickled: {bad[0].error}"
                raise _refusal(base, state, what, current)
            kinds = {qualified_name(type(each)) for each in objects if type(each) is not Unreadable}
            if kinds and current.kind not in kinds:
                what = f"its class was {min(kinds)} and is {current.kind}"
                raise _refusal(base, state, what, current)

    async def _check_fits(
        self, base: Manifest, state: State, before: StateShape, current: StateShape
    ) -> None:
        """Check that old objects, once unpickled, have the attributes of new ones.

        They do if a ``__setstate__`` converts them, or if a class was only moved or renamed and is
        still found under its old name.
        """
        what = change_of(before, current)
        is_renamed = before.without_classes() == current.without_classes()
        if not is_renamed and not restores_itself(state.create()):
            raise _refusal(base, state, what, current)
        async for objects in self._samples(base, state.name):
            for each in objects:
                if type(each) is Unreadable:
                    problem = f"cannot be unpickled: {each.error}"
                else:
                    problem = misfit(each, before, current)
                if problem:
                    raise _refusal(
                        base, state, f"{what}; an object restored from it {problem}", current
                    )
        facts = {"state": state.name, "checkpoint": base.number, "change": what}
        following = "its objects unpickle into the present class"
        self._info("state.upgrading", facts | {"next": following})

    async def _samples(self, base: Manifest, state: str) -> AsyncIterator[list[Any]]:
        """Yield some objects of each worker's oldest part of ``state``; of windows, their
        accumulators."""
        timing = self._plan.states[state].timing
        names = [PartitionMap.from_wire(wire).state for wire in base.partition_maps]
        for worker in base.workers.values():
            part = next((part for part in worker.parts if names[part.state] == state), None)
            if part is not None:
                data = await self._store.get(part.name)
                for chunk in read_part(data, part, self._store.describe(part.name)):
                    objects = [each for each in chunk.states() if each is not None]
                    if isinstance(timing, WindowSpec):
                        objects = [
                            inner
                            for each in objects
                            for inner in (
                                [each] if type(each) is Unreadable else timing.accumulators(each)
                            )
                        ]
                    yield objects
                    break


def _has_keys(base: Manifest, state: str) -> bool:
    return any(worker.key_counts.get(state) for worker in base.workers.values())


def _check_timing(base: Manifest, current_outline: Iterable[str], state: str) -> None:
    """Raise ``StateObjectError`` if a state of ``base`` has other windows now: what is open of the
    old ones has no place in the new ones."""
    if not _has_keys(base, state):
        return
    before, current = timing_in(base.outline, state), timing_in(current_outline, state)
    if before != current:
        raise StateObjectError(
            f"the windows of state {state!r} have changed since checkpoint {base.number}: they "
            f"were {before or 'none'}, and are now {current or 'none'}",
            hint="give the new windows a name of their own with .named(...), and start once with "
            "--allow-dropped-state, which drops the windows that are open",
        )


def _refusal(base: Manifest, state: State, what: str, current: StateShape) -> StateObjectError:
    short = current.kind.rpartition(".")[2]
    return StateObjectError(
        f"state {state.name!r} has changed since checkpoint {base.number}: {what}",
        hint=f"write an @wallaroo.upgrade_state({state.name!r}) function from the old object to "
        f"the new one, give {short} a __setstate__ that takes both forms, or give "
        f"--allow-changed-state to use the objects as they are; see {PAGE}",
    )
