"""Counts the sources that have ended: once none is left, nothing can come any more.

Only sources with an end tell of it. An application that also has one without, a TCP source or a
generator, so runs until somebody stops it.
"""

from collections.abc import Iterable

from wallaroo.errors import ClusterError


class EndedSources:
    """The sources of one application, by the index of their pipeline."""

    def __init__(self, pipeline_count: int) -> None:
        self._pipeline_count = pipeline_count
        self._ended: set[int] = set()
        self._problems: dict[str, None] = {}

    def begin_epoch(self) -> None:
        """A worker was lost: its sources begin again, and the others tell again of theirs."""
        self._ended.clear()
        self._problems.clear()

    def add(self, pipelines: Iterable[int], problems: Iterable[str]) -> None:
        """A worker tells which of its sources have ended, some of them perhaps before their end."""
        self._ended.update(pipelines)
        self._problems.update(dict.fromkeys(problems))

    @property
    def are_all(self) -> bool:
        """Whether no source is left."""
        return 0 < self._pipeline_count == len(self._ended)

    @property
    def error(self) -> ClusterError | None:
        """What a run ends with: a sentence for each source that ended before its end."""
        return ClusterError("\n".join(self._problems)) if self._problems else None
