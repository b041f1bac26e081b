"""The report of a worker, once a second: the content of a ``Measured`` frame."""

from dataclasses import dataclass, field, fields
from typing import Any

from wallaroo.metrics.histogram import Histogram


@dataclass(slots=True, kw_only=True)
class Report:
    """Counters since the start of the process; histograms and lists since the last report."""

    pid: int
    unix_s: float
    latency: dict[str, Histogram] = field(default_factory=dict)
    """By pipeline: nanoseconds from source to sinks, for results that this worker delivered."""
    times: dict[str, Histogram] = field(default_factory=dict)
    """By node: nanoseconds in the user's function: for a sample, or for all calls of a step at
    which records wait."""
    waits: dict[str, Histogram] = field(default_factory=dict)
    """By node: nanoseconds for which records have waited at the step."""
    user_s: dict[str, float] = field(default_factory=dict)
    """By node: seconds in the user's functions, estimated from the sample."""
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: ``keys``, ``bytes`` (estimated), ``hottest`` keys, and the size of the sample,
    ``sampled``."""
    links: list[dict[str, Any]] = field(default_factory=list)
    """``to``, ``bytes``, ``queued_bytes``, ``connections``."""
    sinks: list[dict[str, Any]] = field(default_factory=list)
    """``name``, ``address``, ``bytes``, ``queued_bytes``, ``connections``, ``connected``, and
    the number and the age of results that it has not taken, ``waiting`` and ``waiting_s``.

    ``batches`` is ``None``, or of a sink that is written in batches: ``written``, ``retries``,
    ``rejected``, how long its methods have failed or not returned, ``waiting_s``, and if it is
    exactly once, the batches that a checkpoint has and the target does not, ``undelivered`` and
    ``undelivered_bytes``, and as a histogram on the wire the nanoseconds from the commit of a
    checkpoint until its batches were written, ``delays``; else these are ``None``."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """``pipeline``, ``address``, ``connections``, ``bytes``, ``paused_s``; of a source that is read
    by split also ``splits``, the number of them, and ``reconnects``."""
    splits: list[dict[str, Any]] = field(default_factory=list)
    """``pipeline``, ``split``, ``position``, ``end``, ``lag``, ``lag_s``, ``caught_up``; why
    records that are there cannot be read and for how long, ``held`` and ``held_s``; ``ended`` and
    ``problem``. Of a source with many, those that do not go on, and those with the largest lags."""
    lags: dict[str, int] = field(default_factory=dict)
    """By pipeline: the sum of the lags that are known."""
    clocks: list[dict[str, Any]] = field(default_factory=list)
    """Of each timed state, as ``wallaroo.runtime.clock_facts`` has it."""
    timers: list[dict[str, Any]] = field(default_factory=list)
    """Of each state with timers, alarms or keys that expire, as ``KeyedTimes.facts`` has it."""
    process: dict[str, Any] = field(default_factory=dict)
    """``cpu_s``, ``rss_bytes``, ``loop_lag_s``, ``gc_s``, ``gc_pause_s``, ``gc_count``,
    ``backlog_bytes``, ``paused``, ``connections``."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """Records that became dead letters."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the log: ``unix_s``, ``level``, ``event``, ``fields``."""

    def to_wire(self) -> dict[str, Any]:
        """Return the values for msgpack."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("latency", "times", "waits"):
            values[name] = {key: each.to_wire() for key, each in values[name].items()}
        return values

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "Report":
        """Return the report from ``to_wire``; ``ValueError`` for anything else."""
        try:
            values = dict(wire)
            for name in ("latency", "times", "waits"):
                values[name] = {
                    str(key): Histogram.from_wire(each) for key, each in values[name].items()
                }
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not a report of a worker: {error}") from error
