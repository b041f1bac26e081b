"""Reads what a checkpoint has of one state, without restoring it."""

from typing import Any

from wallaroo.checkpoint.manifest import Manifest, WorkerCheckpoint
from wallaroo.checkpoint.parts import read_part
from wallaroo.checkpoint.restorer import taken_since
from wallaroo.checkpoint.store import PartStore
from wallaroo.routing.partition_map import PartitionMap


async def saved_values(
    base: Manifest, store: PartStore, state: str, *, may_be_removed: bool = False
) -> list[Any]:
    """Return the objects of a state in ``base``, of all its workers.

    See ``Chunk.states`` for what replaces an object that cannot be read. Raises the errors of the
    store.
    """
    maps = [PartitionMap.from_wire(wire) for wire in base.partition_maps]
    index = next((at for at, each in enumerate(maps) if each.state == state), None)
    values: list[Any] = []
    if index is not None:
        for share in base.workers.values():
            newest = await _newest(share, index, maps[index], store, may_be_removed)
            values += [value for value in newest.values() if value is not None]
    return values


async def _newest(
    share: WorkerCheckpoint,
    index: int,
    saved_map: PartitionMap,
    store: PartStore,
    may_be_removed: bool,
) -> dict[Any, Any]:
    newest: dict[Any, Any] = {}
    for part in share.parts:
        if part.state != index:
            continue
        took_later = taken_since(part, share.took.get(saved_map.state, {}))
        data = await store.get(part.name)
        for chunk in read_part(data, part, store.describe(part.name)):
            values = chunk.states(may_be_removed=may_be_removed)
            for key, value in zip(chunk.keys(), values, strict=True):
                # A part may have keys that have moved to another worker since.
                is_here = saved_map.owner_of(key) == share.worker
                if is_here and saved_map.partition_of(key) not in took_later:
                    newest[key] = value
    return newest
