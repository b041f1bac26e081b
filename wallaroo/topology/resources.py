"""What steps ask of a worker besides records and states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallaroo.describing import error_text
from wallaroo.errors import WallarooError


@dataclass(frozen=True, slots=True)
class ResourceMaker:
    """A function that makes a resource; two steps with the same function share what it makes."""

    name: str
    function: Callable[[], Any]
    """Plain or a coroutine function, or a generator of either kind, which also closes it."""

    def failure(self, step: str, error: BaseException) -> WallarooError:
        """Return the error that says that ``step`` has to do without what this makes."""
        if isinstance(error, StopIteration | StopAsyncIteration):
            text = "the generator ends before it yields anything"
        else:
            text = error_text(error)
        code = getattr(self.function, "__code__", None)
        where = "" if code is None else f"look at {code.co_filename}:{code.co_firstlineno}"
        what = f"resource {self.name!r} of step {step!r} cannot be made: {text}"
        return WallarooError(what, where)
