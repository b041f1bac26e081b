"""A state with a class that changes between two runs, and what is kept of it in memory."""

from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.checkpoint.manifest import Manifest, PartRef, WorkerCheckpoint
from wallaroo.checkpoint.parts import PART_HEADER, encode_chunk
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.shapes import fresh_shapes
from wallaroo.coordinator.manifest_writer import initial_maps
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.plan import Application

ME = WorkerName("w1")
NAME = "totals"


class Boom:
    """Pickles, and does not unpickle."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return int, ("boom",)


def totals_class(monkeypatch: pytest.MonkeyPatch, **methods: Any) -> Any:
    """Return a class, which is found as ``Totals`` of this module until another one is."""
    names = {"__module__": __name__, "__qualname__": "Totals"}
    kind = type("Totals", (), names | methods)
    monkeypatch.setitem(globals(), "Totals", kind)
    return kind


def attributes(**values: Any) -> Callable[[Any], None]:
    """Return an ``__init__`` that sets these."""

    def init(self: Any) -> None:
        vars(self).update(values)

    return init


@wallaroo.partition
def whole(record: str) -> str:
    return record


@wallaroo.state_computation("count")
def count(record: str, _state: Any) -> tuple[str, bool]:
    return record, True


def plan_of(create: Callable[[], Any]) -> Application:
    """Return a plan with one state."""
    return application().to_state_partition(count, create, NAME, whole).to_sink(tcp_sink()).build()


class Parts:
    """The parts of one worker, in memory."""

    def __init__(self) -> None:
        self.by_name: dict[str, bytes] = {}
        self.refs: list[PartRef] = []

    def add(self, *chunks: dict[Any, Any]) -> None:
        """Write a part with these keys and objects."""
        number = len(self.refs) + 1
        name = f"parts/{number:010}/w1-1-0-0"
        blocks = [encode(chunk) for chunk in chunks]
        self.by_name[name] = data = PART_HEADER + b"".join(blocks)
        keys = sum(map(len, chunks))
        self.refs.append(PartRef(name, CheckpointId(number), 0, len(data), keys))

    def describe(self, name: str) -> str:
        return name

    async def get(self, name: str) -> bytes:
        return self.by_name[name]

    def manifest(self, plan: Application, *, has_shapes: bool = True) -> Manifest:
        """Return the manifest of what was added, as a run of this plan writes it."""
        keys = {NAME: sum(part.key_count for part in self.refs)}
        return Manifest(
            number=CheckpointId(7),
            epoch=Epoch(1),
            is_claim=False,
            application=plan.name,
            outline=list(outline(plan)),
            members=[ME],
            partition_maps=[each.to_wire() for each in initial_maps(plan, (ME,))],
            workers={ME: WorkerCheckpoint(ME, self.refs, [], {}, [], keys)},
            file_lengths={},
            taken_unix_s=0.0,
            duration_s=0.0,
            shapes=fresh_shapes(plan) if has_shapes else {},
        )


def encode(chunk: dict[Any, Any]) -> bytes:
    """Return a chunk as a release wrote it that did not read it back."""
    return encode_chunk(list(chunk), list(chunk.values()), NAME, _Trusting())


class _Trusting(StatePickler):
    def _read_back(self, data: bytes, kinds: list[type]) -> None:
        """Believe it."""
