"""How records wait at a step: together for one call, or each for an answer from outside."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HELD = "~held"
"""Ends the name of the state in which checkpoints keep records that wait at a step."""


class Runs(enum.Enum):
    """Where the user's function is called."""

    AT_ONCE = "at once"
    """Between slices of records, which wait meanwhile."""
    IN_THREAD = "in a thread"
    """In a thread of the step, one call at a time, while records go on."""
    AS_TASK = "as a task"
    """On the event loop, many calls at a time: it is a coroutine function."""


class Order(enum.Enum):
    """Which results have to leave in the order in which their records arrived."""

    ALL = "all"
    KEY = "key"
    """Those of the same key."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is declared of a step at which records wait. Times are in seconds."""

    runs: Runs
    batch_max: int | None = None
    """The longest list that the function gets; ``None`` if it gets one record."""
    max_wait_s: float = 0.0
    """How long a record waits for others, until it is called with fewer."""
    capacity: int = 0
    """How many records may be here; then no more records are taken. 0: any number, for batches
    that are called at once."""
    order: Order | None = None
    """``None`` until the plan knows whether records have a key here."""
    timeout_s: float | None = None
    """How long a call may take with all its retries."""
    retries: int = 0
    backoff_s: float = 0.0
    """The pause before the first retry; each further pause is twice as long."""
    retry_on: tuple[type[BaseException], ...] = ()
    on_timeout: Callable[[Any], Any] | None = None
    """Makes the result of a record whose call has timed out."""
    state: str = ""
    """The state that has the records in checkpoints; empty if none are kept."""
    has_key: bool = False
    """Whether records have a key here."""
    is_at_owner: bool = False
    """Whether they are at the owner of their key, and must stay there."""

    @property
    def is_held(self) -> bool:
        """Whether records may still be here when a barrier passes."""
        return self.runs is not Runs.AT_ONCE

    def describe(self) -> str:
        """Return what a plan shows of it."""
        size = "" if self.batch_max is None else f"batches of {self.batch_max} "
        limit = f", at most {self.capacity} records" if self.capacity else ""
        return f"{size}{self.runs.value}{limit}"
