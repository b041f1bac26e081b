"""The request for the clocks of the states that time changes."""

import time
from typing import Any

from wallaroo.errors import ClusterError, ConfigError
from wallaroo.metrics.clock_view import clock_rows
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import problems_of
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import WAIT_S, WorkerQueries


class ClockQueries:
    """Asks the workers of one run for their clocks."""

    def __init__(self, reach: Reach, workers: WorkerQueries) -> None:
        self._reach = reach
        self._worker_queries = workers

    async def clocks(self, parameters: Parameters) -> dict[str, Any]:
        """Return how far the clock of each timed state is, and what it waits for."""
        name = parameters.find("state", str)
        wait_s = parameters.take("timeout_s", float, WAIT_S)
        parameters.finish()
        plan = self._reach.plan
        timed = [each.name for each in plan.states.values() if each.timing is not None]
        if name is not None and name not in timed:
            known = f"those with a clock are {', '.join(timed)}" if timed else "none has a clock"
            raise ConfigError(f"time does not change a state {name!r}", hint=known)
        answers = await self._worker_queries.ask_all(self._reach.view.workers, "clocks", {}, wait_s)
        facts: dict[str, Any] = {
            worker: answer["clocks"]
            for worker, answer in answers.items()
            if not isinstance(answer, ClusterError)
        }
        rows = clock_rows(facts, plan.pipelines, time.time_ns())
        return {
            "clocks": [row for row in rows if name in (None, row["state"])],
            "problems": problems_of(answers),
        }
