"""A progress line on stderr while a request is under way, on a terminal only."""

from typing import Any

from wallaroo_cli.tools.moving_line import MovingLine


class Waiting(MovingLine):
    """As a context: a bar with the time so far and the cluster's last event."""

    def show(self, facts: dict[str, Any]) -> None:
        """Show what the cluster reports; counts such as ``2 of 4`` move the bar."""
        if self._progress is None or self._task is None:
            return
        done, _, total = str(facts.get("worker_count", "")).partition(" of ")
        text = f"{facts.get('phase', '')} {facts.get('event', '')} {facts.get('worker', '')}"
        self._progress.update(self._task, text=text.strip())
        if total.isdecimal():
            self._progress.update(self._task, completed=int(done), total=int(total))

    def _start(self) -> None:
        # Imported only here: it takes longer than all other imports, and scripts do not need it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn(self._title),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(self._title, total=None, text="")
        self._progress.start()
