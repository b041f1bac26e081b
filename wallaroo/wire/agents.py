"""Frames between the initializer and its agents, which run workers on other hosts.

    agent       -> initializer   Offer            I would run a worker of this name here
    initializer -> agent         Accepted         these are the rules
                                 or Dismissed     not you
    agent       -> initializer   Prepared         say when
    initializer -> agent         Place            start the worker's process
    agent       -> initializer   Placed, Gone     it runs; it has ended
    initializer -> agent         EndProcess       kill it
    agent       -> initializer   Withdraw         somebody wants this host back
    initializer -> agent         Dismissed        you are not needed any more
    both, once a second          Beat             this side lives

They travel over control connections, encoded as ``wallaroo.wire.control`` tells. The secret and the
application never do: an agent has its own. ``epoch`` is that at which a process is started; frames
that are about no process have ``NO_EPOCH``.
"""

from dataclasses import dataclass
from typing import ClassVar

from wallaroo.names import Epoch, WorkerName


@dataclass(frozen=True, slots=True)
class Offer:
    """Agent: I would run a worker of this name, with the application of this outline."""

    tag: ClassVar[int] = 50
    epoch: Epoch
    name: WorkerName
    host: str
    """The host's own name, for people."""
    instance: str
    """Drawn at random when the agent was started: one that dials again is known by it."""
    outline: list[str]
    together: int
    """To a running cluster it comes with so many others at once, itself among them."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Initializer: you are one of us."""

    tag: ClassVar[int] = 51
    epoch: Epoch
    application: str
    silence_ms: int
    """Whoever gives no sign of life for so long is taken for lost, on both sides."""
    options: str
    """JSON, as the initializer's own workers get it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Agent: everything is here; a worker may be started."""

    tag: ClassVar[int] = 52
    epoch: Epoch
    """The newest that a journal on this host was written in; 0 where there is none."""
    records_epoch: Epoch
    """The same of journals that have any record."""


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Initializer: start the process of your worker."""

    tag: ClassVar[int] = 53
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """Agent: the process runs."""

    tag: ClassVar[int] = 54
    epoch: Epoch
    pid: int


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """Agent: the process has ended, or could not be started."""

    tag: ClassVar[int] = 55
    epoch: Epoch
    reason: str


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Initializer: end what is left of the process, at once."""

    tag: ClassVar[int] = 56
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Agent: somebody asked this host to end; have its worker leave in order."""

    tag: ClassVar[int] = 57
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Initializer: you are not needed, or not any more."""

    tag: ClassVar[int] = 58
    epoch: Epoch
    what: str
    """Why an offer is refused, or the run ended early; empty where all is in order."""
    hint: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Either side: I live."""

    tag: ClassVar[int] = 59
    epoch: Epoch


AgentFrame = (
    Offer
    | Accepted
    | Prepared
    | StartProcess
    | ProcessStarted
    | ProcessEnded
    | EndProcess
    | Withdraw
    | Dismissed
    | Beat
)
