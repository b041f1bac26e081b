"""What each object of an application must have, for type checkers: methods and their types.

These protocols are what the builder and the configurations take. Decorated functions have the
methods, and so have objects of the older class style. ``R`` is the record that goes in, ``Q`` the
result that goes on as the next record, ``S`` the state. A checker works these out from the
annotations of the application's functions; without annotations all three are ``Any``.

Nothing looks at these types when an application runs: ``wallaroo.api.readers`` checks the objects.
"""

from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeAlias

# Defaults keep `ApplicationBuilder` without brackets a complete type. Python knows them from 3.13
# on; type checkers bring `typing_extensions` along, which does not have to be installed.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Q = TypeVar("Q", default=Any)
    S = TypeVar("S", default=Any)
    Q_co = TypeVar("Q_co", default=Any, covariant=True)
    R_co = TypeVar("R_co", default=Any, covariant=True)
    R_contra = TypeVar("R_contra", default=Any, contravariant=True)
    S_contra = TypeVar("S_contra", default=Any, contravariant=True)
else:
    from typing import TypeVar

    Q = TypeVar("Q")
    S = TypeVar("S")
    Q_co = TypeVar("Q_co", covariant=True)
    R_co = TypeVar("R_co", covariant=True)
    R_contra = TypeVar("R_contra", contravariant=True)
    S_contra = TypeVar("S_contra", contravariant=True)

RecordKey: TypeAlias = str | bytes | SupportsIndex | tuple["RecordKey", ...]
"""A key as a partition function may return it. Integers of numpy are keys as well."""
RecordKeyT = TypeVar("RecordKeyT", bound=str | bytes | SupportsIndex | tuple[Any, ...])
"""One type of key. For type checkers a ``list[str]`` is not a ``list[RecordKey]``, since a number
could be appended to the latter; it is a list of ``RecordKeyT``."""


class PayloadDecoder(Protocol[R_co]):
    """Makes the record of a payload."""

    def decode(self, payload: bytes, /) -> R_co | None:
        """Return the record, or ``None`` to drop the payload."""
        ...


class RecordEncoder(Protocol[R_contra]):
    """Makes of a record what a sink writes."""

    def encode(self, record: R_contra, /) -> bytes | bytearray | memoryview | str | None:
        """Return what is written, a string as UTF-8, or ``None`` to write nothing."""
        ...


class PartitionFunction(Protocol[R_contra]):
    """Tells the key whose state a record needs."""

    def partition(self, record: R_contra, /) -> RecordKey:
        """Return the key."""
        ...


class StatelessStep(Protocol[R_contra, Q_co]):
    """A computation without state, with one result."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute(self, record: R_contra, /) -> Q_co | None:
        """Return the result, or ``None`` to filter the record."""
        ...


class StatelessMultiStep(Protocol[R_contra, Q]):
    """A computation without state, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute_multi(self, record: R_contra, /) -> list[Q] | list[Q | None] | None:
        """Return the results; an item that is ``None`` is dropped."""
        ...


class StateStep(Protocol[R_contra, S_contra, Q_co]):
    """A computation with state, with one result."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute(self, record: R_contra, state: S_contra, /) -> tuple[Q_co | None, bool]:
        """Return the result, or ``None``, and whether the state has changed."""
        ...


class StateMultiStep(Protocol[R_contra, S_contra, Q]):
    """A computation with state, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute_multi(
        self, record: R_contra, state: S_contra, /
    ) -> tuple[list[Q] | list[Q | None] | None, bool]:
        """Return the results, and whether the state has changed."""
        ...
