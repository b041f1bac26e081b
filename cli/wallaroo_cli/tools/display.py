"""What people see on stderr while a tool runs: sentences, and a progress line on a terminal."""

import sys
import time

from wallaroo_cli.tools.moving_line import MovingLine
from wallaroo_cli.tools.totals import Totals, describe_bytes

REFRESH_S = 0.2


class Display(MovingLine):
    """Prints sentences; as a context, it also shows the progress of a run on a terminal."""

    def __init__(
        self, title: str, message_count: int | None = None, *, may_move: bool = True
    ) -> None:
        super().__init__(title, may_move=may_move)
        self._message_count = message_count
        self._due_s = 0.0
        self._shown_s = 0.0
        self._shown_count = 0

    @property
    def is_live(self) -> bool:
        """Whether there is a progress line to update."""
        return self._progress is not None

    def line(self, sentence: str) -> None:
        """Print one line."""
        if self._progress is not None:
            self._progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(sentence + "\n")
            sys.stderr.flush()

    def is_due(self) -> bool:
        """Return whether it is time to show new totals; cheap enough to call for each block."""
        return self._progress is not None and time.monotonic() >= self._due_s

    def show(self, totals: Totals) -> None:
        """Show ``totals`` in the progress line."""
        if self._progress is None or self._task is None:
            return
        now_s = time.monotonic()
        self._due_s = now_s + REFRESH_S
        rate = (totals.message_count - self._shown_count) / max(now_s - self._shown_s, 1e-3)
        self._shown_s, self._shown_count = now_s, totals.message_count
        self._progress.update(
            self._task,
            completed=totals.message_count,
            text=f"{totals.message_count:,} messages  {describe_bytes(totals.byte_count)}  "
            f"{rate:,.0f} messages/s",
        )
        self._progress.refresh()

    def _start(self) -> None:
        # Imported only here: it takes longer than all other imports, and scripts do not need it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        shape = SpinnerColumn() if self._message_count is None else BarColumn()
        self._progress = Progress(
            TextColumn(self._title),
            shape,
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task(self._title, total=self._message_count, text="")
        self._shown_s = time.monotonic()
        self._progress.start()
