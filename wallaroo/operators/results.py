"""What user functions return beside records, and checks of results that look unusual."""

import enum
from typing import Any, Final


class Delete(enum.Enum):
    """The type of ``DELETE``, for annotations."""

    DELETE = "DELETE"

    def __repr__(self) -> str:
        return "wallaroo.DELETE"


DELETE: Final = Delete.DELETE
"""Returned by a state computation after its result, to delete the state of the record's key."""


def records_of_multi(result: Any) -> list[Any]:
    """Return the list of a multi computation; ``None`` is empty, anything but a list an error."""
    if result is None:
        return []
    if not isinstance(result, list):
        raise TypeError(
            f"a multi computation must return a list or None, this one returned "
            f"{type(result).__name__}; wrap the result in list(...)"
        )
    # The iteration of a subclass is user code, so run it here, where a failure belongs to a record.
    return result if type(result) is list else list(result)


def checked_pair(result: Any) -> tuple[Any, Any]:
    """Return the (output, save_state) of a state computation; ``TypeError`` for anything else.

    ``save_state`` may be ``DELETE``, or anything that can be truth-tested.
    """
    if isinstance(result, tuple | list) and len(result) == 2:
        return result[0], result[1]
    shown = type(result).__name__
    if isinstance(result, tuple | list):
        shown += f" of {len(result)}"
    raise TypeError(
        f"a state computation must return a pair (output, save_state), this one returned {shown}; "
        f"end it with `return output, True`, or with False or wallaroo.DELETE instead"
    ) from None


def refuse_none(state: str) -> None:
    """Raise ``TypeError``: the state class of ``state`` has returned ``None``."""
    raise TypeError(
        f"state_class of state {state!r} returned None, which stands for a state that was deleted; "
        f"return an object, such as an empty dict"
    )


def encoded_bytes(result: Any) -> bytes:
    """Return the result of an encoder as bytes; ``str`` becomes UTF-8."""
    if isinstance(result, str):
        return result.encode()
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result)
    raise TypeError(
        f"an encoder must return bytes, str or None, this one returned {type(result).__name__}"
    )
