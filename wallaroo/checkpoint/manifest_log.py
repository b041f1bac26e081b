"""The log of manifests in a store: which checkpoints exist, and who may add the next one.

A checkpoint exists if and only if its manifest exists. Parts are written before it, by all workers,
and are garbage until a manifest names them. So the whole commit is one operation: create
``manifests/N`` if there is no object of that name. Everything below follows from two properties of
a store: it creates an object whole or not at all, and it lets exactly one of several attempts
create a name.

**What can go wrong**

* *Two initializers.* One was suspended and given up for dead; another one took over; the first
  wakes up and commits a checkpoint that it finished long ago. Workers would then go back to it, and
  records that the new run has processed would be processed again, or lost.
* *The answer to a create is lost.* A retry finds the name taken, perhaps by the first attempt. To
  take that for somebody else's object would end a healthy run; to take somebody else's object for
  our own would let two runs go on.
* *A number becomes free again.* Old manifests are pruned. An initializer that slept through many
  checkpoints can create the number that it wants, though the log is far ahead of it.
* *A create fails with an error whose outcome is unknown.* The caller must not write another
  manifest under the next number, and must not tell workers to go back to an older one.
* *The newest manifest is damaged.* To use the one before it silently would lose what was committed.
* *The store ignores the condition*, as some S3-compatible ones do. Then there is no fence at all.

**Invariants**

1. Numbers have no gaps when they are written: number ``n + 1`` is created by a writer that knows
   ``n``. So the writer that creates a number has seen every checkpoint before it.
2. A manifest is never changed. Its bytes hold a random mark of its writer (``with_writer``), so no
   two writers can produce the same bytes, and a writer recognizes its own object.
3. A run commits a *claim* before anything else: the content of the manifest that it starts from,
   with the next number and a higher epoch. After that, an older initializer finds its next number
   taken.
4. After ``commit`` has returned, the manifest existed and was the newest one.
5. Only objects that no retained manifest needs are deleted, and none if one of these is damaged.

**Why this order**

``commit`` creates first and lists afterwards. Listing first would leave a gap in which another run
can go ahead. If the listing shows a higher number, the object that was just created is an old
number that had become free: it is withdrawn, and the writer is fenced off. In the moment between
create and withdraw a reader sees an old number below newer ones, which is harmless, because a
reader starts from the newest.

``_create`` repeats an attempt with unknown outcome until it knows: the object is there with our
bytes, or with another writer's, or the store has refused each attempt. After an unknown outcome no
later refusal counts as "not committed", because the first attempt may still have succeeded. If it
gives up without knowing, its error says so, and committing the same manifest again continues the
search.

``prunable`` lists objects after it has loaded the manifests, so parts of a round that began
meanwhile have a higher number than any manifest it knows, and are left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from wallaroo.checkpoint.manifest import (
    MANIFEST_FOLDER,
    PART_FOLDER,
    Manifest,
    decode_manifest,
    encode_manifest,
    manifest_name,
    manifest_number,
)
from wallaroo.checkpoint.retention import Kept, deletable, retained
from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import (
    AlreadyExistsError,
    DamagedFileError,
    FencedError,
    MissingObjectError,
    StoreError,
)
from wallaroo.names import CheckpointId, Epoch

RETRY_PAUSES_S = (0.2, 1.0, 3.0, 5.0)
"""Pauses between attempts to commit with an unknown outcome; the store retries each one, too."""

PERHAPS_COMMITTED = "may be committed or not"

_PROBE_FOLDER = "probe/"


class ManifestLog:
    """The manifests of one store. All methods raise ``StoreError`` if the store cannot be used.

    ``new_token`` returns a text that no other process has.
    """

    def __init__(
        self,
        store: ObjectStore,
        pause: Pause,
        new_token: Callable[[], str],
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self.store = store
        self._pause = pause
        self._new_token = new_token
        self._retry_pauses_s = retry_pauses_s
        self._writer = new_token()
        self._loaded: dict[int, Manifest] = {}

    async def numbers(self) -> list[int]:
        """Return the numbers of all manifests, ascending."""
        names = [name for name, _ in await self.store.list(MANIFEST_FOLDER)]
        return sorted(number for name in names if (number := manifest_number(name)) is not None)

    async def load(self, number: int) -> Manifest:
        """Return one manifest; raises ``MissingObjectError`` or ``DamagedFileError``."""
        name = manifest_name(number)
        file = self.store.describe(name)
        manifest = decode_manifest(await self.store.get(name), file)
        if manifest.number != number:
            raise DamagedFileError(
                file,
                0,
                f"it holds manifest {manifest.number}",
                "give each manifest the name that it was written under",
            )
        return manifest

    async def latest(self) -> Manifest | None:
        """Return the newest manifest; ``None`` if the store has no manifests.

        It never returns an older one: if the newest is damaged, the ``DamagedFileError`` says how
        to go back to one that is whole.
        """
        numbers = await self.numbers()
        if not numbers:
            return None
        try:
            return await self.load(numbers[-1])
        except DamagedFileError as error:
            raise DamagedFileError(
                error.file, error.offset, error.damage, await self._way_back(numbers[:-1])
            ) from error

    async def last_epoch(self) -> int:
        """Return the epoch of the newest manifest that can be read; 0 if there is none."""
        for number in reversed(await self.numbers()):
            try:
                return (await self.load(number)).epoch
            except (DamagedFileError, MissingObjectError):
                continue
        return 0

    async def commit(self, manifest: Manifest) -> Manifest:
        """Write `manifest`, which makes its checkpoint exist; return it as it was written.

        Raises ``FencedError`` if its number is taken or is not the newest any more: another run
        goes on with these checkpoints. After a ``StoreError`` that is not a refusal the manifest
        may exist or not, and the error says so; committing the same `manifest` again finds out.
        """
        manifest = manifest.with_writer(self._writer)
        await self._create(manifest)
        try:
            newest = max(await self.numbers(), default=0)
        except StoreError as error:
            what = f"checkpoint {manifest.number} {PERHAPS_COMMITTED}: {error.what}"
            raise StoreError(what, error.hint) from error
        if newest > manifest.number:
            # The number of a manifest that was pruned is free again, so creating it proves nothing.
            await self._withdraw(manifest)
            raise self._fenced(manifest, f"checkpoint {newest} is there already")
        return manifest

    async def claim(
        self, base: Manifest, epoch: Epoch, newest: CheckpointId | None = None
    ) -> Manifest:
        """Write the content of `base` under the next number and `epoch`; return that claim.

        From then on no older initializer can commit. Raises what ``commit`` raises: if two runs
        start at the same time, one is fenced off, and so is a run that knows `newest` as the newest
        manifest while another one was written.
        """
        if newest is None:
            newest = CheckpointId(max(await self.numbers(), default=0))
        number = CheckpointId(newest + 1)
        follows = base.number if base.number < number else 0
        claim = replace(
            base,
            number=number,
            epoch=epoch,
            is_claim=True,
            base=follows,
            lineage=base.lineage or self._new_token(),
        )
        return await self.commit(claim)

    async def is_claimed(self) -> bool:
        """Return whether the newest manifest is a claim, so its run has no checkpoint yet."""
        return (await self.load(max(await self.numbers()))).is_claim

    async def line(self) -> list[int]:
        """Return the numbers of the newest manifest and of all that it follows, newest first.

        A checkpoint that is not among them was given up when a run went back to an older one, and
        files of sinks have continued without it. What a damaged manifest follows is unknown, so the
        one before it is assumed.
        """
        line: list[int] = []
        following: int | None = None
        for number in reversed(await self.numbers()):
            if following is not None and number > following:
                continue
            try:
                following = (await self.load(number)).base
            except DamagedFileError:
                following = None
            line.append(number)
        return line

    async def retained(self, keep: int) -> list[Manifest]:
        """Return the manifests that remain if `keep` checkpoints are kept, newest first."""
        numbers = await self.numbers()
        found: dict[int, Manifest] = {}
        checkpoint_count = 0
        for number in reversed(numbers):
            found[number] = self._loaded.get(number) or await self.load(number)
            checkpoint_count += not found[number].is_claim
            if checkpoint_count >= keep:
                break
        self._loaded = found  # manifests never change
        return [found[kept.number] for kept in retained(map(_kept, found.values()), keep)]

    async def prune(self, keep: int) -> list[str]:
        """Delete all that the newest `keep` checkpoints do not need; return the names.

        Nothing is deleted if one of these is damaged, because it is not known what it needs.
        """
        doomed = await self.prunable(keep)
        await self.store.delete(doomed)
        return doomed

    async def prunable(self, keep: int) -> list[str]:
        """Return the names that ``prune`` would delete."""
        stays = [_kept(manifest) for manifest in await self.retained(keep)]
        # List after loading the manifests: parts of a later round are newer than all of these.
        names = [
            name
            for folder in (MANIFEST_FOLDER, PART_FOLDER)
            for name, _ in await self.store.list(folder)
        ]
        return deletable(stays, names)

    async def check_store(self) -> None:
        """Raise ``StoreError`` unless the store can be written and creates an object only once.

        Some S3-compatible stores ignore the condition, so two initializers could both go on.
        """
        name = f"{_PROBE_FOLDER}{self._new_token()}"
        try:
            await self.store.create(name, b"first")
        except AlreadyExistsError:
            pass  # an earlier attempt, whose answer was lost: no other process has this name
        try:
            await self.store.create(name, b"second")
        except AlreadyExistsError:
            return
        finally:
            await self.store.delete([name])
        raise StoreError(
            f"{self.store.location} lets an object be created twice",
            "use a store that knows conditional writes (If-None-Match: *)",
        )

    async def _create(self, manifest: Manifest) -> None:
        """Try until it is certain that the object exists, or that another writer's does."""
        data = encode_manifest(manifest)
        outcome = "was not committed"
        for pause_s in (*self._retry_pauses_s, None):
            try:
                if await self._try_create(manifest, data):
                    return
                problem = StoreError("the store says that it is there, but it cannot be read")
            except StoreError as error:
                problem = error
                if not error.is_refusal:
                    outcome = PERHAPS_COMMITTED
                elif outcome == "was not committed":
                    break
            if pause_s is not None:
                await self._pause(pause_s)
        raise StoreError(
            f"checkpoint {manifest.number} {outcome}: {problem.what}",
            problem.hint,
            is_refusal=problem.is_refusal and outcome == "was not committed",
        ) from problem

    async def _try_create(self, manifest: Manifest, data: bytes) -> bool:
        name = manifest_name(manifest.number)
        try:
            await self.store.create(name, data)
        except AlreadyExistsError:
            # Perhaps an earlier attempt created it and its answer was lost.
            try:
                found = await self.store.get(name)
            except MissingObjectError:
                return False  # two attempts met, and the store accepted neither
            except StoreError as error:
                # A refused read says nothing about what was written before.
                raise StoreError(error.what, error.hint) from error
            if found != data:
                raise self._fenced(manifest, "it is there, written by somebody else") from None
        return True

    async def _withdraw(self, manifest: Manifest) -> None:
        try:
            await self.store.delete([manifest_name(manifest.number)])
        except StoreError:
            pass  # it is older than all that are kept, so the next prune deletes it

    def _fenced(self, manifest: Manifest, found: str) -> FencedError:
        return FencedError(
            f"checkpoint {manifest.number} of epoch {manifest.epoch} cannot be committed to "
            f"{self.store.location}: {found}",
            "another wallaroo-run continues from these checkpoints; run only one at a time",
        )

    async def _way_back(self, older: Sequence[int]) -> str:
        """Return what to do when the newest manifest is damaged, given the numbers before it."""
        for number in reversed(older):
            try:
                manifest = await self.load(number)
            except (DamagedFileError, MissingObjectError):
                continue
            if not manifest.is_claim:
                return (
                    "restore that file from a copy, or go back to the newest checkpoint that is "
                    f"whole with --from-checkpoint {number}"
                )
        return "restore that file from a copy; there is no older checkpoint that is whole"


def _kept(manifest: Manifest) -> Kept:
    return Kept(manifest.number, manifest.is_claim, manifest.object_names())
