"""Keeps the results of a key in order when the key moves: one worker's part.

``ResultDeliveries`` in the initializer decides who waits for whom, and why.
"""

from collections.abc import Container, Iterable, Mapping

from wallaroo.worker.sink_port import SinkStream


class ResultOrder:
    """The streams of one worker, by the index of their sink."""

    def __init__(self, streams: Mapping[int, SinkStream]) -> None:
        self._streams = streams

    def marks(self) -> dict[int, int]:
        """Return how many bytes were ever written to each stream."""
        return {index: stream.written_bytes for index, stream in self._streams.items()}

    def owed(self, marks: Mapping[int, int]) -> list[int]:
        """Return the sinks that have not acknowledged all bytes up to their mark."""
        return [index for index, mark in marks.items() if not self._has_settled(index, mark)]

    def _has_settled(self, index: int, mark: int) -> bool:
        stream = self._streams[index]
        stream.settle()
        return stream.settled_bytes >= mark

    def hold(self, resize: int, sinks: Iterable[int]) -> None:
        """Hold back what is written to these sinks from now on."""
        for index in sinks:
            self._streams[index].hold(resize)

    def release(self, resize: int, still_held: Container[int]) -> None:
        """Write what ``hold`` keeps back for ``resize``, except for sinks that are still held."""
        for index, stream in self._streams.items():
            if index not in still_held:
                stream.release(resize)

    def drop_held(self) -> None:
        """Forget everything that is held back, since a replay produces it again."""
        for stream in self._streams.values():
            stream.drop_held()
