"""What a run has left in its newest checkpoint, restored without a cluster."""

from collections.abc import Coroutine
from typing import Any

from wallaroo.checkpoint.manifest import manifest_number
from wallaroo.checkpoint.restorer import Restorer
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.errors import DamagedFileError
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow, DataflowOptions
from wallaroo.testing.cutting import Cutter
from wallaroo.testing.oracle import Expected, States, last_results, newest_manifest, states_of
from wallaroo.testing.store import Objects
from wallaroo.topology.plan import Application


class _NoDelayStore:
    """The objects of a store, without delays."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def describe(self, name: str) -> str:
        return name

    async def get(self, name: str) -> bytes:
        return self._objects.by_name[name]


def restored(objects: Objects, plan: Application, expected: Expected) -> Dataflow:
    """Return one worker with everything that the newest manifest has."""
    dataflow = Dataflow(plan, WorkerName("alone"), DataflowOptions())

    async def no_pause(_: float) -> None:
        return

    store = _NoDelayStore(objects)
    shapes = fresh_shapes(plan)
    restorer = Restorer(
        WorkerName("alone"), plan, dataflow.saved_states, expected.maps, shapes, store, no_pause
    )
    _run_at_once(restorer.restore(newest_manifest(objects)))
    if dataflow.timed is not None:
        dataflow.timed.keyed.rebuild()
    return dataflow


def final_states(objects: Objects, plan: Application, expected: Expected) -> States:
    """Return the states of the newest manifest."""
    return states_of(plan, restored(objects, plan, expected).states)


def open_windows(
    objects: Objects, plan: Application, expected: Expected, cutter: Cutter
) -> dict[int, list[Any]]:
    """Return, by sink, the results of the windows that are open in the newest manifest."""
    dataflow = restored(objects, plan, expected)
    if dataflow.timed is None:
        return {}
    dataflow.bind((WorkerName("alone"),), expected.maps)
    found: dict[int, list[Any]] = {}
    for sink, rows in last_results(dataflow):
        is_chunk = plan.sinks[sink].takes_bytes
        found.setdefault(sink, []).extend(cutter.cut(b"".join(rows)) if is_chunk else rows)
    return found


class RevivedKeys:
    """Checks that no checkpoint of a run holds more keys than its workers had at the barrier.

    Later records may hide such a key, or compaction may remove it, so each checkpoint is looked at.
    """

    def __init__(self, objects: Objects, plan: Application, expected: Expected) -> None:
        self._objects = objects
        self._plan = plan
        self._expected = expected
        self._seen: str | None = None

    def look(self) -> list[str]:
        """Return a line for each state of which the newest checkpoint holds too many keys."""
        names = (name for name in self._objects.by_name if manifest_number(name) is not None)
        newest = max(names, default=None)
        if newest == self._seen:
            return []
        self._seen = newest
        try:
            manifest = newest_manifest(self._objects)
            states = final_states(self._objects, self._plan, self._expected)
        except (DamagedFileError, KeyError):
            return []  # a run that needs it will say more
        lines = []
        for name, held in states.items():
            count = sum(share.key_counts.get(name, 0) for share in manifest.workers.values())
            if len(held) > count:
                lines.append(
                    f"checkpoint {manifest.number} holds {len(held)} keys of state {name!r}, "
                    f"and its workers had {count}"
                )
        return lines


def _run_at_once(work: Coroutine[Any, Any, Any]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits, though nothing here has to")
