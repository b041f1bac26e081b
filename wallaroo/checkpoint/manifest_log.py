"""The row of manifests in a store: which checkpoints exist, and who may add the next one."""

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
"""Between attempts to commit whose outcome is not known; the store retries each by itself too."""

PERHAPS_COMMITTED = "may be committed or not"

_PROBE_FOLDER = "probe/"


class ManifestLog:
    """The manifests of one store. All methods raise ``StoreError`` when it cannot be used.

    ``new_token`` gives text that nobody else has.
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
        """Return one manifest; ``MissingObjectError``, ``DamagedFileError`` if there is none."""
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
        """Return the newest manifest; ``None`` if there is none at all.

        Never an older one: if the newest is damaged, the ``DamagedFileError`` says how to go back
        to one that is whole.
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
        """Make `manifest` exist, and with it its checkpoint; return it as it was written.

        Raises ``FencedError`` if its number is taken or is not the newest any more: somebody else
        goes on with these checkpoints. After a ``StoreError`` that is no refusal it may exist or
        not, which its text says; committing the same `manifest` again finds out.
        """
        manifest = manifest.with_writer(self._writer)
        await self._create(manifest)
        try:
            newest = max(await self.numbers(), default=0)
        except StoreError as error:
            what = f"checkpoint {manifest.number} {PERHAPS_COMMITTED}: {error.what}"
            raise StoreError(what, error.hint) from error
        if newest > manifest.number:
            # The number of a manifest that is long deleted is free again, so creating it proves
            # nothing to a writer that slept through its successors.
            await self._withdraw(manifest)
            raise self._fenced(manifest, f"checkpoint {newest} is there already")
        return manifest

    async def claim(
        self, base: Manifest, epoch: Epoch, newest: CheckpointId | None = None
    ) -> Manifest:
        """Write the content of `base` under the next number and `epoch`; return that claim.

        From then on no older initializer can commit. Raises as ``commit`` does: of two that start
        at the same time one is fenced off, and so is one that took `newest` for the newest manifest
        while another was written.
        """
        if newest is None:
            newest = CheckpointId(max(await self.numbers(), default=0))
        number = CheckpointId(newest + 1)
        follows = base.number if base.number < number else 0
        claim = replace(base, number=number, epoch=epoch, is_claim=True, base=follows)
        return await self.commit(claim)

    async def is_claimed(self) -> bool:
        """Whether the newest manifest is the claim of a run that begins, and no checkpoint."""
        return (await self.load(max(await self.numbers()))).is_claim

    async def line(self) -> list[int]:
        """Return the numbers of the newest manifest and of all that it follows, newest first.

        A checkpoint that is not among them was given up when a run went back behind it: the files
        of sinks have gone on without it. A damaged manifest does not tell what it follows, so what
        is before it counts.
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
        """Return the manifests that stay when `keep` checkpoints are kept, newest first."""
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
        """Delete what is not needed for the newest `keep` checkpoints; return the names.

        Nothing goes if one of these is damaged: what it needs is not known.
        """
        doomed = await self.prunable(keep)
        await self.store.delete(doomed)
        return doomed

    async def prunable(self, keep: int) -> list[str]:
        """Return the names that ``prune`` would delete."""
        stays = [_kept(manifest) for manifest in await self.retained(keep)]
        # Listed after the manifests: what a later one needs is newer than all of these.
        names = [
            name
            for folder in (MANIFEST_FOLDER, PART_FOLDER)
            for name, _ in await self.store.list(folder)
        ]
        return deletable(stays, names)

    async def check_store(self) -> None:
        """Raise ``StoreError`` unless the store can be written and creates an object only once.

        Some S3-compatible stores ignore the condition; then two initializers could both go on.
        """
        name = f"{_PROBE_FOLDER}{self._new_token()}"
        try:
            await self.store.create(name, b"first")
        except AlreadyExistsError:
            pass  # by an attempt before, whose answer was lost: nobody else has this name
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
        """Create the object, until it is certain that it is there or somebody else's is."""
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
            # Perhaps by an attempt before, whose answer was lost.
            try:
                found = await self.store.get(name)
            except MissingObjectError:
                return False  # two met, and the store let neither
            except StoreError as error:
                # That a read was refused says nothing of what was written before.
                raise StoreError(error.what, error.hint) from error
            if found != data:
                raise self._fenced(manifest, "it is there, written by somebody else") from None
        return True

    async def _withdraw(self, manifest: Manifest) -> None:
        try:
            await self.store.delete([manifest_name(manifest.number)])
        except StoreError:
            pass  # it is older than all that are kept, and goes when these are pruned

    def _fenced(self, manifest: Manifest, found: str) -> FencedError:
        return FencedError(
            f"checkpoint {manifest.number} of epoch {manifest.epoch} cannot be committed to "
            f"{self.store.location}: {found}",
            "another wallaroo-run goes on with these checkpoints; let only one run",
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
