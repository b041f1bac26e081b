"""Decides when the next batch of messages is due, and how large it is."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from wallaroo.errors import ConfigError
from wallaroo_cli.tools.numbers import NUMBER_MAX

BATCH_SIZE = 500
BATCHES_BETWEEN_DRAWS = 1000
BATCHES_A_SECOND = 1000
"""How long a batch lasts at a given rate, if no batch size is given."""
BEHIND_S_MAX = 1.0
"""A schedule that is further behind than this is not caught up."""

_INTERVAL = re.compile(r"(?P<number>\d[\d_]*(\.\d+)?)\s*(?P<unit>ns|us|ms|s)?")
_SECONDS_OF_UNIT = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_interval(text: str) -> float:
    """Return the seconds in ``text``: nanoseconds, or a number with ns, us, ms or s."""
    match = _INTERVAL.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"--interval {text!r} is not a duration",
            hint="give nanoseconds, as in 5_000_000, or a unit: 5ms, 250us, 1.5s",
        )
    seconds = float(match["number"].replace("_", "")) * _SECONDS_OF_UNIT[match["unit"] or "ns"]
    if seconds > NUMBER_MAX:
        raise ConfigError(f"--interval is {NUMBER_MAX:,.0f} s at most")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the user wants to send messages; by default as fast as receivers accept them."""

    batch_size: int | None = None
    interval_s: float | None = None
    rate: float | None = None
    """Messages per second."""
    vary_by: int = 0
    seed: int | None = None

    @property
    def is_full_speed(self) -> bool:
        """Whether there is no schedule, so that batches do not matter."""
        return not self.interval_s and self.rate is None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with these settings."""
        if self.rate is not None and self.interval_s is not None:
            yield "--rate and --interval cannot be used together"

    def schedule(self, now_s: float) -> "Schedule":
        """Return the schedule of a run that begins at ``now_s``."""
        assert not self.is_full_speed
        if self.rate is not None:
            return Schedule(now_s, message_s=1 / self.rate)
        assert self.interval_s is not None
        return Schedule(now_s, batch_s=self.interval_s)

    def batch_sizes(self) -> Iterator[int]:
        """Yield the size of each batch, without an end."""
        size = self.batch_size or self._default_batch_size()
        if not self.vary_by:
            yield from repeat(size)
        draw = random.Random(self.seed).randrange
        while True:
            yield from repeat(size + draw(self.vary_by), BATCHES_BETWEEN_DRAWS)

    def _default_batch_size(self) -> int:
        # 500 at 10 messages a second would be silence and a burst every 50 seconds.
        if self.rate is not None:
            return max(1, round(self.rate / BATCHES_A_SECOND))
        return BATCH_SIZE


class Schedule:
    """When batches are due, counted from the start, so that a late one delays no other."""

    def __init__(self, now_s: float, *, message_s: float = 0.0, batch_s: float = 0.0) -> None:
        self._start_s = now_s
        self._message_s = message_s
        self._batch_s = batch_s
        self._message_count = 0
        self._batch_count = 0

    def wait_s(self, now_s: float) -> float:
        """Return how long the next batch has to wait; 0 if it is due."""
        progress_s = self._message_count * self._message_s + self._batch_count * self._batch_s
        ahead_s = self._start_s + progress_s - now_s
        if ahead_s < -BEHIND_S_MAX:
            self._start_s -= ahead_s + BEHIND_S_MAX
        return max(0.0, ahead_s)

    def batch_sent(self, message_count: int) -> None:
        """Note that a batch was sent."""
        self._message_count += message_count
        self._batch_count += 1
