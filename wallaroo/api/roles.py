"""What each object of an application must have, for type checkers: methods and their types.

These protocols are what the builder and the configurations take. Decorated functions have the
methods, and so have objects of the older class style. ``R`` is the record that goes in, ``Q`` the
result that goes on as the next record, ``S`` the state. A checker works these out from the
annotations of the application's functions; without annotations all three are ``Any``.

Nothing looks at these types when an application runs: ``wallaroo.api.readers`` checks the objects.
"""

from typing import Any, Protocol, SupportsIndex, TypeAlias, TypeVar

from wallaroo.operators.context import Context
from wallaroo.operators.results import Delete
from wallaroo.timing.window_spec import Window
from wallaroo.type_variables import Q, Q_co, R_co, R_contra, S, S_contra

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

    def compute(self, record: R_contra, state: S_contra, /) -> tuple[Q_co | None, bool | Delete]:
        """Return the result, or ``None``, and whether the state has changed or is to be
        deleted."""
        ...


class StateMultiStep(Protocol[R_contra, S_contra, Q]):
    """A computation with state, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute_multi(
        self, record: R_contra, state: S_contra, /
    ) -> tuple[list[Q] | list[Q | None] | None, bool | Delete]:
        """Return the results, and whether the state has changed or is to be deleted."""
        ...


class KeyExtractorFunction(Protocol[R_contra]):
    """Tells the key of a record, in the class style of Wallaroo 0.6."""

    def extract_key(self, record: R_contra, /) -> RecordKey:
        """Return the key."""
        ...


class OwnStateStep(Protocol[R_contra, Q_co]):
    """A computation with a state of its own, with one result."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def initial_state(self) -> Any:
        """Return a new state object."""
        ...

    def compute(self, record: R_contra, state: Any, /) -> Q_co | tuple[Q_co | None, Delete] | None:
        """Return the result, or ``None``; with ``DELETE`` in a pair the state is deleted."""
        ...


class OwnStateMultiStep(Protocol[R_contra, Q]):
    """A computation with a state of its own, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def initial_state(self) -> Any:
        """Return a new state object."""
        ...

    def compute_multi(
        self, record: R_contra, state: Any, /
    ) -> list[Q] | list[Q | None] | tuple[list[Q] | list[Q | None] | None, Delete] | None:
        """Return the results, or ``None``; with ``DELETE`` in a pair the state is deleted."""
        ...


class StateContextStep(Protocol[R_contra, S_contra, Q_co]):
    """A computation with state and context, with one result."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute(
        self, record: R_contra, state: S_contra, context: Context, /
    ) -> tuple[Q_co | None, bool | Delete]:
        """Return the result, or ``None``, and whether the state has changed or is to be
        deleted."""
        ...


class StateContextMultiStep(Protocol[R_contra, S_contra, Q]):
    """A computation with state and context, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def compute_multi(
        self, record: R_contra, state: S_contra, context: Context, /
    ) -> tuple[list[Q] | list[Q | None] | None, bool | Delete]:
        """Return the results, and whether the state has changed or is to be deleted."""
        ...


class OwnStateContextStep(Protocol[R_contra, Q_co]):
    """A computation with a state of its own and context, with one result."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def initial_state(self) -> Any:
        """Return a new state object."""
        ...

    def compute(
        self, record: R_contra, state: Any, context: Context, /
    ) -> Q_co | tuple[Q_co | None, Delete] | None:
        """Return the result, or ``None``; with ``DELETE`` in a pair the state is deleted."""
        ...


class OwnStateContextMultiStep(Protocol[R_contra, Q]):
    """A computation with a state of its own and context, with many results."""

    def name(self) -> str:
        """Return the name of the step."""
        ...

    def initial_state(self) -> Any:
        """Return a new state object."""
        ...

    def compute_multi(
        self, record: R_contra, state: Any, context: Context, /
    ) -> list[Q] | list[Q | None] | tuple[list[Q] | list[Q | None] | None, Delete] | None:
        """Return the results, or ``None``; with ``DELETE`` in a pair the state is deleted."""
        ...


class AggregationWithOutput(Protocol[R_contra, S, Q_co]):
    """An aggregation that is a class, with a result of its own."""

    def initial_accumulator(self) -> S:
        """Return the accumulator of no record."""
        ...

    def update(self, record: R_contra, accumulator: S, /) -> object:
        """Add a record to the accumulator, in place."""
        ...

    def output(self, key: Any, accumulator: S, /) -> Q_co | None:
        """Return the result, or ``None``."""
        ...


class AggregationWithWindowOutput(Protocol[R_contra, S, Q_co]):
    """An aggregation that is a class, with a result that depends on the window."""

    def initial_accumulator(self) -> S:
        """Return the accumulator of no record."""
        ...

    def update(self, record: R_contra, accumulator: S, /) -> object:
        """Add a record to the accumulator, in place."""
        ...

    def output(self, key: Any, accumulator: S, window: Window, /) -> Q_co | None:
        """Return the result, or ``None``."""
        ...
