"""A store of objects in memory, with the delays and failures of a store across a network."""

from collections.abc import Collection, Iterable, Sequence

from wallaroo.checkpoint.manifest import (
    PART_FOLDER,
    Manifest,
    decode_manifest,
    manifest_number,
)
from wallaroo.errors import AlreadyExistsError, MissingObjectError, StoreError
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.testing.waiting import Waiting

FAILURE_PROBABILITY = 0.08
DELAY_S = 0.005
LONG_PROBABILITY = 0.03
LONG_DELAY_S = 1.0


class Objects:
    """The content of the store, for all processes."""

    is_atomic = True
    """Tests turn it off to make torn writes visible, which no real store does."""

    def __init__(self) -> None:
        self.by_name: dict[str, bytes] = {}
        self._manifests: dict[int, bytes] = {}
        """All that ever existed, by number."""
        self.oldest_kept: int = 0
        """The oldest checkpoint that a run may return to."""

    def keep_no_older(self) -> None:
        """Forbid to return to a checkpoint before the last one."""
        numbers = [manifest_number(name) or 0 for name in self.by_name]
        self.oldest_kept = max(numbers, default=0)

    def create(self, name: str, data: bytes) -> str:
        """Write a new object; return the problem, or ""."""
        if name in self.by_name:
            return "exists"
        self.by_name[name] = data
        if number := manifest_number(name):
            # A number that is free again proves nothing, see ``ManifestLog``.
            self._manifests.setdefault(number, data)
        return ""

    def manifests(self) -> list[Manifest]:
        """Return all manifests that ever existed, pruned ones too."""
        return self.manifests_beside(())

    def manifests_beside(self, known: Collection[int]) -> list[Manifest]:
        """Return those whose numbers are not among ``known``, in the order of their writing."""
        return [
            decode_manifest(data, str(number))
            for number, data in self._manifests.items()
            if number not in known
        ]

    def tear(self, name: str, data: bytes) -> None:
        """Break a write off in the middle: it has no effect, unless the store is bad."""
        if not self.is_atomic and name not in self.by_name:
            self.by_name[name] = data[: len(data) // 2]


class SimulatedStore:
    """The store for one process.

    A request that is under way when its process ends may still be executed.
    """

    location = "simulated"

    def __init__(self, process: Process, objects: Objects, chaos: Chaos) -> None:
        self._process = process
        self._objects = objects
        self._chaos = chaos
        self._random = process.loop.random

    def describe(self, name: str) -> str:
        """Return the name of an object, for messages."""
        return f"{self.location}/{name}"

    async def create(self, name: str, data: bytes) -> None:
        """Write a new object; of several calls, all but one raise ``AlreadyExistsError``."""
        self._process.at("write part" if name.startswith(PART_FOLDER) else "create manifest")
        kind = "done"
        if self._chaos.take("failed_writes", FAILURE_PROBABILITY):
            kind = self._random.choice(["refused", "torn", "answer lost", "not done"])
        outcome: list[str] = []

        def arrive() -> None:
            match kind:
                case "done" | "answer lost":
                    outcome.append(self._objects.create(name, data))
                case "torn":
                    self._objects.tear(name, data)

        await self._travel(arrive)
        if kind != "done":
            self._process.loop.tell(self._process.name, f"write of {name}: {kind}")
            what = f"cannot write {name}: {kind}"
            raise StoreError(what, "simulated", is_refusal=kind == "refused")
        if outcome[0]:
            raise AlreadyExistsError(f"{name} is there already")

    async def get(self, name: str) -> bytes:
        """Return the whole object; ``MissingObjectError`` if there is none."""
        found: list[bytes | None] = []
        await self._travel(lambda: found.append(self._objects.by_name.get(name)))
        if found[0] is None:
            raise MissingObjectError(f"there is no {name}")
        return found[0]

    async def list(self, prefix: str = "") -> Sequence[tuple[str, int]]:
        """Return names and lengths of all objects below ``prefix``, sorted by name."""
        found: list[tuple[str, int]] = []

        def look() -> None:
            for name, data in sorted(self._objects.by_name.items()):
                if name.startswith(prefix):
                    found.append((name, len(data)))

        await self._travel(look)
        return found

    async def delete(self, names: Iterable[str]) -> None:
        """Delete objects; names that do not exist are ignored."""
        doomed = list(names)

        def remove() -> None:
            for name in doomed:
                self._objects.by_name.pop(name, None)

        await self._travel(remove)

    async def _travel(self, arrive: object) -> None:
        """Send a request, which calls ``arrive`` at the store, and wait for its answer."""
        assert callable(arrive)
        answered = Waiting()
        there_s, back_s = self._delay(), self._delay()
        loop = self._process.loop
        loop.call_later(there_s, arrive)  # without a process: it cannot be taken back
        self._process.call_later(there_s + back_s, answered.finish)
        await answered

    def _delay(self) -> float:
        is_long = self._random.random() < LONG_PROBABILITY
        return self._random.random() * (LONG_DELAY_S if is_long else DELAY_S)
