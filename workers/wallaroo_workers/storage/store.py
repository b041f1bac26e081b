"""A store of immutable objects with names: a directory, memory, or an S3-compatible bucket.

The library obstore does the work, by its blocking calls in threads: its coroutines abort the
process now and then when that ends soon after one (SIGABRT, obstore 0.12). Only writing to a
directory is done here, since obstore does not fsync.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from wallaroo.errors import AlreadyExistsError, ConfigError, MissingObjectError
from wallaroo_workers.storage import files
from wallaroo_workers.storage.failures import disk_error, store_error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

T = TypeVar("T")

_DELETED_AT_ONCE = 1000
_LISTED_AT_ONCE = 1000

CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(seconds=60),
}
"""For each request; large objects travel as several."""

RETRY: "RetryConfig" = {
    "max_retries": 10,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3)},
}
"""A process cannot end while a request of its is under way, so this is kept short."""

QUICK_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=3),
    "read_timeout": timedelta(seconds=5),
    "timeout": timedelta(seconds=6),
}
QUICK_RETRY: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1)},
}
"""For small objects that have to be written in time, or not at all."""

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class StoredObject(NamedTuple):
    """One object of a listing."""

    name: str
    byte_count: int


Listing: TypeAlias = list[StoredObject]
"""Has a name since ``list`` is a method below."""


class Store:
    """Objects under names such as ``parts/0000000001/w1-1-0-0``; see ``open_store``.

    Every method raises ``StoreError``, with what to do, when the store cannot be used.
    """

    def __init__(
        self, location: str, objects: LocalStore | MemoryStore | S3Store, folder: Path | None = None
    ) -> None:
        self.location = location
        """For messages: the directory or the URL."""
        self.folder = folder
        """The directory, if it is one."""
        self._objects = objects

    def describe(self, name: str) -> str:
        """Return where the object `name` is, for messages."""
        return f"{self.location}/{name}"

    async def create(self, name: str, data: bytes) -> None:
        """Write a new object, durable when this returns, whole or not at all.

        If several writers try, one succeeds and the others get ``AlreadyExistsError``. Over a
        network that error is not certain: the object may be this writer's own, if an answer was
        lost, or may not exist, if two attempts collided. Read the object to find out.
        """
        action = f"write {self.describe(name)}"
        folder = self.folder
        if folder is None:
            await self._call(lambda: self._objects.put(name, data, mode="create"), action)
            return
        try:
            await asyncio.to_thread(files.write_durably, folder / name, data)
        except FileExistsError as error:
            raise AlreadyExistsError(f"cannot {action}: it is there already") from error
        except OSError as error:
            raise disk_error(error, action) from error

    async def get(self, name: str) -> bytes:
        """Return the whole object; ``MissingObjectError`` if there is none."""

        def read() -> bytes:
            return bytes(self._objects.get(name).bytes())

        return await self._call(read, f"read {self.describe(name)}")

    async def list(self, prefix: str = "") -> Listing:
        """Return all objects below `prefix`, whole names of folders, sorted by name."""

        def read() -> Listing:
            chunks = self._objects.list(prefix or None, chunk_size=_LISTED_AT_ONCE)
            return sorted(StoredObject(one["path"], one["size"]) for some in chunks for one in some)

        try:
            return await self._call(read, f"list {self.describe(prefix)}")
        except MissingObjectError:
            return []  # a folder went while it was read

    async def delete(self, names: Iterable[str]) -> None:
        """Delete objects; names of which there is none are passed over."""
        doomed = list(names)
        for begin in range(0, len(doomed), _DELETED_AT_ONCE):
            await self._delete(doomed[begin : begin + _DELETED_AT_ONCE])

    async def remove_unfinished(self) -> int:
        """Remove what writers that crashed left half written; return how many files.

        For who owns the store: it makes writes fail that are under way. A bucket has a rule of
        its own for uploads that were not completed.
        """
        folder = self.folder
        if folder is None:
            return 0
        return await self._call(lambda: files.remove_unfinished(folder), f"tidy {folder}")

    async def _delete(self, names: Sequence[str]) -> None:
        folder = self.folder

        def delete() -> None:
            if folder is None:
                self._objects.delete(names)
                return
            for name in names:
                files.remove(folder / name)

        try:
            await self._call(delete, f"delete {len(names)} objects in {self.location}")
        except MissingObjectError:
            pass

    async def _call(self, function: Callable[[], T], action: str) -> T:
        """Run `function` in a thread; errors get their meaning, see ``store_error``."""
        try:
            return await asyncio.to_thread(function)
        except (BaseError, OSError) as error:
            raise store_error(error, action) from error


def open_store(location: str, *, may_create: bool = True, is_quick: bool = False) -> Store:
    """Return the store at `location`: a directory, ``file://``, ``memory://`` or ``s3://``.

    S3 takes its endpoint, region and credentials from the usual ``AWS_…`` variables; an endpoint
    that begins with ``http://`` is used without TLS. A directory that is missing is made if it
    `may_create`. Each ``memory://`` is a new one. One that `is_quick` gives a request up after some
    seconds instead of a minute. Raises ``ConfigError`` for what is none of
    these, and ``StoreError`` for a directory that cannot be used.
    """
    scheme, is_url, rest = location.partition("://")
    match scheme if is_url else "file":
        case "file":
            path = unquote(urlsplit(location).path) if is_url else location
            return _open_folder(Path(os.path.abspath(path)), may_create=may_create)
        case "memory":
            return Store(location.rstrip("/"), MemoryStore())
        case "s3" | "s3a":
            return _open_bucket(location, rest, is_quick=is_quick)
    raise ConfigError(
        f"{location!r} cannot hold checkpoints: {scheme}:// is not supported",
        hint="name a directory, or s3://BUCKET/PREFIX",
    )


def _open_folder(folder: Path, *, may_create: bool) -> Store:
    try:
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file, not a directory", hint="check the path")
        if not (may_create or folder.exists()):
            raise ConfigError(f"there is no directory {folder}", hint="check the path")
        files.make_folder(folder)
        objects = LocalStore(folder)
    except OSError as error:
        raise disk_error(error, f"use the directory {folder}") from error
    except BaseError as error:
        raise store_error(error, f"use the directory {folder}") from error
    return Store(str(folder), objects, folder)


def _open_bucket(location: str, rest: str, *, is_quick: bool) -> Store:
    bucket, _, prefix = rest.strip("/").partition("/")
    if not bucket:
        raise ConfigError(f"{location!r} names no bucket", hint="write s3://BUCKET/PREFIX")
    # obstore reads the variables itself, but not that such an endpoint is meant to go without TLS.
    endpoints = filter(None, map(os.environ.get, _ENDPOINT_VARIABLES))
    client: ClientConfig = {**(QUICK_CLIENT if is_quick else CLIENT)}
    client["allow_http"] = next(endpoints, "").startswith("http://")
    try:
        objects = S3Store(
            bucket,
            prefix=prefix or None,
            conditional_put="etag",
            client_options=client,
            retry_config=QUICK_RETRY if is_quick else RETRY,
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(
            f"cannot use {location}: {error}", hint="check the AWS_… variables of the environment"
        ) from error
    return Store(location.rstrip("/"), objects)
