"""A progress line on stderr, on a terminal only."""

import abc
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class MovingLine(abc.ABC):
    """As a context: the line is shown from ``_start``, which sets progress and task, to the end."""

    def __init__(self, title: str, *, may_move: bool = True) -> None:
        self._title = title
        self._may_move = may_move
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._may_move and sys.stderr.isatty():
            self._start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    @abc.abstractmethod
    def _start(self) -> None:
        """Show the line for the first time."""
