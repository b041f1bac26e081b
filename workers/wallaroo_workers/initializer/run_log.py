"""The first and the last line of a run, and what its coordinator announces in between."""

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
    """All is there that workers need, and these are to be started."""
    log.info(
        "cluster.starting",
        application=application,
        workers=", ".join(workers),
        next="the workers start, and connect to each other and to the sinks",
    )


def log_announced(line: Announce) -> None:
    """The coordinator has something to say to people."""
    level = log.error if line.is_error else log.warning if line.is_warning else log.info
    level(line.event, **line.values, next=line.next)


def log_stopped(outcome: Outcome, application: str, letters_folder: str) -> None:
    """The run has ended in order; say what came of it, and which status follows."""
    status = outcome.status
    tell = log.warning if outcome.dead_letter_count else log.info
    following = "this command ends"
    if status is not ExitStatus.DONE:
        tell = log.error
        following = f"this command ends with status {int(status)}: {outcome.reason}"
    tell(
        "cluster.stopped",
        application=application,
        **_facts(application, outcome, letters_folder),
        status=int(status),
        next=following,
    )


def log_failed(
    error: WallarooError, outcome: Outcome, application: str, letters_folder: str
) -> None:
    """Something ended the run after it was ready; before that the error alone says so."""
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
