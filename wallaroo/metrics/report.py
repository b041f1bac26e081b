"""What a worker tells the initializer once a second: the content of a ``Measured`` frame."""

from dataclasses import dataclass, field, fields
from typing import Any

from wallaroo.metrics.histogram import Histogram


@dataclass(slots=True, kw_only=True)
class Report:
    """Counters are since the process was started; histograms and lists since the last report."""

    pid: int
    unix_s: float
    latency: dict[str, Histogram] = field(default_factory=dict)
    """By pipeline: nanoseconds from the source to the sinks, of records whose results left here."""
    times: dict[str, Histogram] = field(default_factory=dict)
    """By node: nanoseconds in the user's function, of a sample."""
    user_s: dict[str, float] = field(default_factory=dict)
    """By node: seconds in the user's functions, estimated from the sample."""
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: ``keys``, ``bytes`` (estimated), ``hottest`` and of how many, ``sampled``."""
    links: list[dict[str, Any]] = field(default_factory=list)
    """``to``, ``bytes``, ``queued_bytes``, ``connections``."""
    sinks: list[dict[str, Any]] = field(default_factory=list)
    """``name``, ``address``, ``bytes``, ``queued_bytes``, ``connections``, ``connected``, and of
    results that it has not taken ``waiting``, their number, and ``waiting_s``, the oldest's age."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """``pipeline``, ``address``, ``connections``, ``bytes``, ``paused_s``."""
    process: dict[str, Any] = field(default_factory=dict)
    """``cpu_s``, ``rss_bytes``, ``loop_lag_s``, ``gc_s``, ``gc_pause_s``, ``gc_count``,
    ``backlog_bytes``, ``paused``, ``connections``."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Records that became dead letters."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the log: ``unix_s``, ``level``, ``event``, ``fields``."""

    def to_wire(self) -> dict[str, Any]:
        """Return it as msgpack packs it."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("latency", "times"):
            values[name] = {key: each.to_wire() for key, each in values[name].items()}
        return values

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "Report":
        """Return what ``to_wire`` gave; ``ValueError`` for anything else."""
        try:
            values = dict(wire)
            for name in ("latency", "times"):
                values[name] = {
                    str(key): Histogram.from_wire(each) for key, each in values[name].items()
                }
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no report of a worker: {error}") from error
