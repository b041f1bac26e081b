"""How much of the machine others used while something was measured: what to doubt a number by."""

import os
import resource
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class OtherPrograms:
    """Looks at the machine from when it is made."""

    def __init__(self) -> None:
        self._total_s, self._busy_s, self._own_s = _now()

    def share(self) -> float:
        """Return the part of all CPU time since then that others used.

        It neither idled nor went to this process and those it started, which have to have ended.
        What the hypervisor took away counts as used by others.
        """
        total_s, busy_s, own_s = _now()
        used_s = (busy_s - self._busy_s) - (own_s - self._own_s)
        return max(used_s / (total_s - self._total_s), 0.0) if total_s > self._total_s else 0.0

    def describe(self) -> str:
        """Return it for people."""
        return f"Other programs used {self.share():.0%} of the machine's CPU time meanwhile."


def _now() -> tuple[float, float, float]:
    """CPU seconds since boot of the machine in all, busy ones, and those of ended children."""
    first_line = Path("/proc/stat").read_text().splitlines()[0]
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are part of the first two.
    ticks = [int(field) for field in first_line.split()[1:9]]
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return sum(ticks) / TICKS_PER_S, (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S, own_s
