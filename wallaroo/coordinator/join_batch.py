"""Workers that come later and are to join together: one change of the membership for all."""

from wallaroo.names import WorkerName


class JoinBatch:
    """Those that wait for the rest of their number."""

    def __init__(self) -> None:
        # In order of arrival: a simulated run has to be the same each time.
        self._waiting: dict[WorkerName, int] = {}

    @property
    def waiting(self) -> list[WorkerName]:
        """Who waits, in the order they came."""
        return list(self._waiting)

    def why_not(self, count: int) -> str:
        """Return why nobody can wait for ``count`` now, himself included; empty where one can."""
        if count < 1:
            return "Joining worker must supply a worker count greater than 0."
        pending = next(iter(self._waiting.values()), count)
        if pending != count:
            return (
                "All joining workers must supply the same worker count. Current pending count is "
                f"{pending}. You supplied {count}."
            )
        return ""

    def came(self, worker: WorkerName, count: int) -> list[WorkerName]:
        """One more waits; return all of them if they are ``count`` now, else nobody."""
        assert not self.why_not(count)
        self._waiting[worker] = count
        if len(self._waiting) < count:
            return []
        complete = self.waiting
        self._waiting.clear()
        return complete

    def gone(self, worker: WorkerName) -> None:
        """It does not wait any more."""
        self._waiting.pop(worker, None)
