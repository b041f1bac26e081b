"""Judges failed records: the limit that stops a run, and the exit status that follows.

``--max-failures`` stops a run in order, as Ctrl-C does: accepted records are processed and
delivered, and then the status is 5. If every record of a pipeline failed, a run that ended in order
has status 4. The status of a run that an error ended early (1 or 2) takes precedence over both.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from fractions import Fraction

from wallaroo.coordinator.events import Announce
from wallaroo.errors import ConfigError
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.statuses import ExitStatus
from wallaroo.wire.control import Counted, Drained

RECORDS_JUDGED_MIN = 100
"""A percentage applies only once so many records have been accepted."""

_LIMIT = re.compile(r"([0-9]{1,18})|([0-9]{1,3}(?:\.[0-9]{1,9})?)%", re.ASCII)


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """How many records of a run may fail, as a number or as a share of the accepted records.

    >>> FailureLimit.parse("2.5%").is_passed(accepted=1000, failed=26)
    True
    """

    text: str
    count: int | None
    share: Fraction | None

    @classmethod
    def parse(cls, text: str) -> "FailureLimit":
        """Return the limit for ``N`` or ``N%``. Raises ``ConfigError`` for anything else."""
        found = _LIMIT.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                f"--max-failures {text!r} is neither a number of records nor a percentage",
                hint="give a whole number such as 10, or a percentage such as 2.5%",
            )
        number, percent = found.groups()
        if percent is None:
            return cls(number, int(number), None)
        share = Fraction(percent) / 100
        if share > 1:
            raise ConfigError(
                f"--max-failures {text} is more than 100%",
                hint="give 100% or less; omit --max-failures for no limit",
            )
        return cls(f"{percent}%", None, share)

    def is_passed(self, accepted: int, failed: int) -> bool:
        """Return whether more records failed than the limit allows."""
        if self.count is not None:
            return failed > self.count
        assert self.share is not None
        return accepted >= RECORDS_JUDGED_MIN and failed > self.share * accepted


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What failed records mean for a run."""

    limit: FailureLimit | None = None
    sets_status: bool = True
    """False for the original's operators, who expect status 0 after every stop."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run, for the last line of the log."""

    record_count: int = 0
    """The count over all runs, as it is shown everywhere."""
    failure_count: int = 0
    dead_letter_count: int = 0
    """Failures of this run alone."""
    failing_workers: tuple[str, ...] = ()
    """The workers that wrote these dead letters."""
    status: ExitStatus = ExitStatus.DONE
    """The exit status, if no error ends the run early."""
    reason: str = ""
    """Why the status is not 0, as a sentence."""


@dataclass(slots=True)
class FailureWatch:
    """Collects the counts that workers report, and compares them with the limit of the run."""

    counts: RunCounts
    rule: FailureRule = field(default_factory=FailureRule)
    _is_passed: bool = False
    """Whether the limit was passed at any time; a share may fall below it again."""
    _reporters: set[str] = field(default_factory=set)
    """The workers that have reported since the failures were noted."""
    _noted_failures: int = 0

    def reported(
        self, worker: str, report: Counted | Drained, members: Collection[str]
    ) -> Announce | None:
        """Add a worker's report; return a log line if it passes the limit."""
        self.counts.totals.reported(worker, report.incarnation, report.epoch, report.counts)
        limit = self.rule.limit
        if limit is None or self._is_passed:
            return None
        accepted, failed = self.counts.sums_of_this_run()
        judged = failed
        if limit.share is not None:
            # Workers report at different times. So compare the failures with the records that all
            # workers have accepted by a later time; otherwise a good run could seem to fail.
            self._reporters.add(worker)
            if not self._reporters.issuperset(members):
                return None
            self._reporters.clear()
            judged, self._noted_failures = self._noted_failures, failed
        self._is_passed = limit.is_passed(accepted, judged)
        if not self._is_passed:
            return None
        values = {"record_count": accepted, "failure_count": failed, "limit": limit.text}
        status = int(ExitStatus.TOO_MANY_FAILURES)
        following = f"the run stops in order, and this command exits with status {status}"
        return Announce("failures.exceeded", values, following, is_warning=True)

    def outcome(self) -> Outcome:
        """Return the result of the run, after the last reports of all workers."""
        counts, limit = self.counts, self.rule.limit
        accepted, failed = counts.sums_of_this_run()
        status, reason = ExitStatus.DONE, ""
        all_failed = counts.failed_pipelines()
        if limit is not None and (self._is_passed or limit.is_passed(accepted, failed)):
            status = ExitStatus.TOO_MANY_FAILURES
            reason = (
                f"{failed:,} of {accepted:,} records failed, and --max-failures is {limit.text}"
            )
        elif all_failed and self.rule.sets_status:
            status = ExitStatus.ALL_FAILED
            names = ", ".join(map(repr, all_failed))
            noun = "pipeline" if len(all_failed) == 1 else "pipelines"
            reason = f"every record of {noun} {names} failed"
        return Outcome(
            record_count=counts.record_count,
            failure_count=counts.failure_count,
            dead_letter_count=failed,
            failing_workers=tuple(counts.failing_workers()),
            status=status,
            reason=reason,
        )
