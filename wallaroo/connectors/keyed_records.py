"""Records of a source that has keys of its own, as the engine takes them."""

from collections.abc import Callable
from typing import Any, Final, SupportsIndex, TypeAlias, overload

SourceKey: TypeAlias = str | Callable[[Any], Any]
"""How a source's keys become keys of records: a name of ``SOURCE_KEY_FORMS``, or a function."""

UTF_8: Final = "utf-8"
BYTES: Final = "bytes"
SOURCE_KEY_FORMS = (UTF_8, BYTES)


class KeyedRecords(list[Any]):
    """A list of records with the key of each: ``keys`` is as long, ``None`` for one without key."""

    __slots__ = ("keys",)

    def __init__(self, records: list[Any], keys: list[Any]) -> None:
        assert len(records) == len(keys)
        super().__init__(records)
        self.keys = keys

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...

    @overload
    def __getitem__(self, index: slice, /) -> "KeyedRecords": ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Any:
        """Return one record, or some with their keys."""
        found = super().__getitem__(index)
        return KeyedRecords(found, self.keys[index]) if isinstance(index, slice) else found
