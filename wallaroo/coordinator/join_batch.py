"""Collects workers that are to join a running cluster together, in one resize."""

from wallaroo.names import WorkerName


class JoinBatch:
    """The workers that wait until as many have arrived as each of them asked for."""

    def __init__(self) -> None:
        # By name, in order of arrival, so that a simulated run is the same each time.
        self._waiting: dict[WorkerName, int] = {}

    @property
    def waiting(self) -> list[WorkerName]:
        """The waiting workers, in order of arrival."""
        return list(self._waiting)

    def refusal(self, count: int) -> str:
        """Return why a worker cannot join together with ``count``, itself included, or ``""``."""
        if count < 1:
            return "Joining worker must supply a worker count greater than 0."
        pending = next(iter(self._waiting.values()), count)
        if pending != count:
            return (
                "All joining workers must supply the same worker count. Current pending count is "
                f"{pending}. You supplied {count}."
            )
        return ""

    def arrived(self, worker: WorkerName, count: int) -> list[WorkerName]:
        """Add a worker; return the whole batch if it is complete, else an empty list."""
        assert not self.refusal(count)
        self._waiting[worker] = count
        if len(self._waiting) < count:
            return []
        complete = self.waiting
        self._waiting.clear()
        return complete

    def disconnected(self, worker: WorkerName) -> None:
        """Remove a worker that has gone away, if it was waiting."""
        self._waiting.pop(worker, None)
