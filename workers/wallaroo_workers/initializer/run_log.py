"""Logs the start and the end of a run, and the announcements of its coordinator."""

from collections.abc import Sequence
from typing import Any

from wallaroo.coordinator.events import Announce
from wallaroo.coordinator.run_outcome import Outcome
from wallaroo.errors import WallarooError
from wallaroo.statuses import ExitStatus
from wallaroo_workers.dead_letters import dead_letter_paths
from wallaroo_workers.logs import get_logger

log = get_logger()


def log_starting(application: str, workers: Sequence[str]) -> None:
    """Log that everything is ready for the workers, and that these workers start."""
    log.info(
        "cluster.starting",
        application=application,
        workers=", ".join(workers),
        next="the workers start, and connect to each other and to the sinks",
    )


def log_announced(line: Announce) -> None:
    """Log an announcement of the coordinator."""
    level = log.error if line.is_error else log.warning if line.is_warning else log.info
    level(line.event, **line.values, next=line.next)


def log_stopped(outcome: Outcome, application: str, letters_folder: str) -> None:
    """Log the result and the exit status of a run that ended in order."""
    status = outcome.status
    write = log.warning if outcome.dead_letter_count else log.info
    following = "this command ends"
    if status is not ExitStatus.DONE:
        write = log.error
        following = f"this command ends with status {int(status)}: {outcome.reason}"
    write(
        "cluster.stopped",
        application=application,
        **_facts(application, outcome, letters_folder),
        status=int(status),
        next=following,
    )


def log_failed(
    error: WallarooError, outcome: Outcome, application: str, letters_folder: str
) -> None:
    """Log why a run failed that was ready before. Earlier failures show only the error."""
    log.error(
        "cluster.failed",
        application=application,
        reason=error.what,
        hint=error.hint,
        **_facts(application, outcome, letters_folder),
        status=int(error.exit_code),
        next=f"this command ends with status {int(error.exit_code)}",
    )


def _facts(application: str, outcome: Outcome, letters_folder: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "record_count": outcome.record_count,
        "failure_count": outcome.failure_count,
    }
    if outcome.dead_letter_count:
        paths = dead_letter_paths(letters_folder, application, outcome.failing_workers)
        facts["dead_letter_count"] = outcome.dead_letter_count
        facts["dead_letters"] = ", ".join(paths)
    return facts
