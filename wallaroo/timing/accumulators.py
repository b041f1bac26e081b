"""What built-in aggregations do with their accumulators: plain functions and one class.

All of them keep the rule of merging: none changes an argument of ``merged``.
"""

from collections.abc import Callable
from typing import Any

from wallaroo.timing.window_spec import AggregationSpec

Extract = Callable[[Any], Any]


def one_more(record: Any, count: int) -> int:
    """Return the count after one more record."""
    return count + 1


def first_of(held: tuple[Any, ...]) -> Any:
    """Return what a tuple holds, or ``None`` if it is empty."""
    return held[0] if held else None


class Extreme:
    """Keeps the smallest or the largest value, in a tuple that is empty before the first."""

    def __init__(self, extract: Extract, *, is_largest: bool) -> None:
        self._extract = extract
        self._is_largest = is_largest

    def update(self, record: Any, held: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the accumulator after one more record."""
        return self.merged(held, (self._extract(record),))

    def merged(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the better one; of equal ones the earlier."""
        if not one or not other:
            return one or other
        is_better = other[0] > one[0] if self._is_largest else other[0] < one[0]
        return other if is_better else one


class Mean:
    """Keeps sum and count."""

    def __init__(self, extract: Extract) -> None:
        self._extract = extract

    def update(self, record: Any, held: tuple[Any, int]) -> tuple[Any, int]:
        """Return the accumulator after one more record."""
        return held[0] + self._extract(record), held[1] + 1

    @staticmethod
    def initial() -> tuple[Any, int]:
        """Return the accumulator of no record."""
        return 0, 0

    @staticmethod
    def merged(one: tuple[Any, int], other: tuple[Any, int]) -> tuple[Any, int]:
        """Return the accumulator of both."""
        return one[0] + other[0], one[1] + other[1]

    @staticmethod
    def value(held: tuple[Any, int]) -> Any:
        """Return the mean, or ``None`` of no record."""
        return held[0] / held[1] if held[1] else None


class ByTime:
    """Keeps time and record of the first or last one by event time; of equal times, by arrival."""

    def __init__(self, *, is_last: bool) -> None:
        self._is_last = is_last

    def update(self, record: Any, held: tuple[Any, ...], time: int) -> tuple[Any, ...]:
        """Return the accumulator after one more record."""
        return self.merged(held, (time, record))

    def merged(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the accumulator of both, of which ``one`` arrived earlier."""
        if not one or not other:
            return one or other
        other_counts = other[0] >= one[0] if self._is_last else other[0] < one[0]
        return other if other_counts else one

    @staticmethod
    def value(held: tuple[Any, ...]) -> Any:
        """Return the record."""
        return held[1] if held else None


class Collected:
    """Keeps records in a list, the first ``limit`` of them."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit

    def update(self, record: Any, held: list[Any]) -> None:
        """Append a record, if there is room."""
        if self._limit is None or len(held) < self._limit:
            held.append(record)

    def merged(self, one: list[Any], other: list[Any]) -> list[Any]:
        """Return the records of both."""
        return [*one, *other][: self._limit]


class Distinct:
    """Keeps the different values of a function."""

    def __init__(self, extract: Extract) -> None:
        self._extract = extract

    def update(self, record: Any, held: set[Any]) -> None:
        """Add the value of a record."""
        held.add(self._extract(record))

    @staticmethod
    def merged(one: set[Any], other: set[Any]) -> set[Any]:
        """Return the values of both."""
        return one | other


class Top:
    """Keeps the records with the largest values, the largest first; of equal ones the earlier."""

    def __init__(self, count: int, extract: Extract) -> None:
        self._count = count
        self._extract = extract

    def update(self, record: Any, held: list[tuple[Any, Any]]) -> None:
        """Add a record, if its value is large enough."""
        value = self._extract(record)
        # Most records are not, so look at the smallest one first.
        if len(held) == self._count and not held[-1][0] < value:
            return
        at = len(held)
        while at and held[at - 1][0] < value:
            at -= 1
        held.insert(at, (value, record))
        del held[self._count :]

    def merged(
        self, one: list[tuple[Any, Any]], other: list[tuple[Any, Any]]
    ) -> list[tuple[Any, Any]]:
        """Return the largest of both."""
        # Sorting keeps the order of equal ones, and never compares records.
        return sorted([*one, *other], key=first_of, reverse=True)[: self._count]

    @staticmethod
    def value(held: list[tuple[Any, Any]]) -> list[Any]:
        """Return the records, the one with the largest value first."""
        return [record for _, record in held]


class Several:
    """Keeps the accumulators of several aggregations, by name."""

    def __init__(self, parts: dict[str, AggregationSpec]) -> None:
        self._parts = parts

    def initial(self) -> dict[str, Any]:
        """Return the accumulators of no record."""
        return {name: part.initial() for name, part in self._parts.items()}

    def update(self, record: Any, held: dict[str, Any], time: int) -> dict[str, Any]:
        """Return the accumulators after one more record."""
        return {name: part.updated(record, held[name], time) for name, part in self._parts.items()}

    def merged(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        """Return the accumulators of both."""
        merged = {}
        for name, part in self._parts.items():
            assert part.merge is not None
            merged[name] = part.merge(one[name], other[name])
        return merged

    def value(self, held: dict[str, Any]) -> dict[str, Any]:
        """Return what each part shows."""
        return {
            name: held[name] if part.value is None else part.value(held[name])
            for name, part in self._parts.items()
        }
