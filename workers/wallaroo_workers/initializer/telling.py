"""The first and the last line of a run, and what its coordinator announces in between."""

from collections.abc import Sequence

from wallaroo.cluster.events import Announce
from wallaroo.errors import WallarooError
from wallaroo_workers.logs import get_logger

log = get_logger()


def tell_starting(application: str, workers: Sequence[str]) -> None:
    """All is there that workers need, and these are to be started."""
    log.info(
        "cluster.starting",
        application=application,
        workers=", ".join(workers),
        next="the workers start, and connect to each other and to the sinks",
    )


def tell_announced(line: Announce) -> None:
    """The coordinator has something to say to people."""
    level = log.error if line.is_error else log.warning if line.is_warning else log.info
    level(line.event, **line.values, next=line.next)


def tell_stopped(application: str) -> None:
    """The run has ended in order."""
    log.info("cluster.stopped", application=application, next="this command ends")


def tell_failed(application: str, error: WallarooError) -> None:
    """Something ended the run after it was ready; before that the error alone says so."""
    log.error(
        "cluster.failed",
        application=application,
        reason=error.what,
        hint=error.hint,
        next=f"this command ends with status {error.exit_code}",
    )
