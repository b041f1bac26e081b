"""Records that wait at a step, and what the function there has made of them."""

from collections.abc import Callable, Mapping, Set
from typing import Any, Final

UNDECIDED: Final = object()


class Failed:
    """The outcome of a record that failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Held:
    """A record at a station. Checkpoints keep it without its outcome."""

    __slots__ = ("entered_s", "key", "number", "outcome", "payload", "read_ns", "record", "time")

    def __init__(
        self,
        key: Any,
        record: Any,
        payload: bytes | None,
        number: int = 0,
        time: int | None = None,
    ) -> None:
        self.key = key
        self.record = record
        self.payload = payload
        self.number = number
        """Its place in the order of arrival."""
        self.time = time
        """``None`` if nothing behind the step needs it."""
        self.read_ns = 0
        self.entered_s = 0.0
        self.outcome: Any = UNDECIDED

    def enter(self, number: int, now_s: float, read_ns: int) -> None:
        """Note that it has reached a step."""
        self.number = number
        self.entered_s = now_s
        self.read_ns = read_ns

    def decide(self, outcome: Any) -> None:
        """Note its outcome."""
        self.outcome = outcome

    def upgrade(self, convert: Callable[[Any], Any]) -> None:
        """Replace its record by what ``convert`` returns for it."""
        self.record = convert(self.record)

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.key, self.record, self.payload, self.number)
        return Held, (values if self.time is None else (*values, self.time))

    def __repr__(self) -> str:
        return f"Held({self.record!r})"


class WrongCountError(ValueError):
    """A batch step returned another number of results than it got records."""


def results_of(returned: Any, count: int) -> list[Any]:
    """Return the results of a batch; raises ``WrongCountError`` if they are not one a record."""
    if returned.__class__ is not list:
        try:
            # These can be iterated over, but what they contain is not one result for each record.
            if isinstance(returned, str | bytes | bytearray | Mapping | Set):
                raise TypeError
            returned = [*returned]
        except TypeError:
            raise WrongCountError(
                f"the batch step returned {type(returned).__name__} for {count} records; "
                "return a list with one result for each, None to drop a record"
            ) from None
    if len(returned) != count:
        raise WrongCountError(
            f"the batch step returned {len(returned)} results for {count} records; return one for "
            "each, None to drop a record"
        )
    results: list[Any] = returned
    return results


def outcomes_of(returned: Any, count: int) -> list[Any]:
    """Return the outcomes of a batch of ``count`` records, of which this was returned."""
    try:
        return results_of(returned, count)
    except BaseException as error:  # noqa: BLE001  the user's object may raise anything
        return [Failed(error)] * count


def outcomes_of_batch(function: Callable[[Any], Any], batch: list[Held]) -> list[Any]:
    """Call ``function`` for records, and for each alone if it raises; return their outcomes."""
    try:
        # The function may change its list, so it is a new one for each call.
        return outcomes_of(function([held.record for held in batch]), len(batch))
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        if len(batch) == 1:
            return [Failed(error)]
        return [outcome for held in batch for outcome in outcomes_of_batch(function, [held])]
