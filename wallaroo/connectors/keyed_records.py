"""Records of a source that has keys or times of its own, as the engine takes them."""

from collections.abc import Callable
from typing import Any, Final, SupportsIndex, TypeAlias, overload

SourceKey: TypeAlias = str | Callable[[Any], Any]
"""How a source's keys become keys of records: a name of ``SOURCE_KEY_FORMS``, or a function."""

UTF_8: Final = "utf-8"
BYTES: Final = "bytes"
SOURCE_KEY_FORMS = (UTF_8, BYTES)


class KeyedRecords(list[Any]):
    """A list of records with the key of each, or the time, or both.

    ``keys`` is as long, ``None`` for one without key. ``times`` are in Unix seconds.
    """

    __slots__ = ("keys", "times")

    def __init__(
        self, records: list[Any], keys: list[Any] | None, times: list[Any] | None = None
    ) -> None:
        assert keys is None or len(records) == len(keys)
        assert times is None or len(records) == len(times)
        super().__init__(records)
        self.keys = keys
        self.times = times

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...

    @overload
    def __getitem__(self, index: slice, /) -> "KeyedRecords": ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Any:
        """Return one record, or some with their keys and times."""
        found = super().__getitem__(index)
        if not isinstance(index, slice):
            return found
        keys = None if self.keys is None else self.keys[index]
        times = None if self.times is None else self.times[index]
        return KeyedRecords(found, keys, times)
