"""Frames between the initializer and its agents, which run workers on other hosts.

    agent       -> initializer   Offer            offers to run a worker
    initializer -> agent         Accepted         accepts it, with the options of workers
                                 or Dismissed     refuses it
    agent       -> initializer   Prepared         is ready to start the process
    initializer -> agent         StartProcess     starts the worker's process
    agent       -> initializer   ProcessStarted   reports that it runs
                                 ProcessEnded     reports that it has ended
    initializer -> agent         EndProcess       kills it
    agent       -> initializer   Withdraw         reports that the host is to be freed
    initializer -> agent         Dismissed        ends the agent
    both, once a second          Beat             shows that this side is alive

They travel over control connections, encoded as in ``wallaroo.wire.control``. The secret and the
application never travel: an agent has its own. ``epoch`` is the one at which a process is started;
frames that do not concern a process have ``NO_EPOCH``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from wallaroo.names import Epoch, WorkerName


@dataclass(frozen=True, slots=True)
class Offer:
    """Agent: offers to run a worker, with the application of this outline."""

    tag: ClassVar[int] = 50
    epoch: Epoch
    name: WorkerName
    """The only worker that it runs; empty for any."""
    host: str
    """The host's own name, for people."""
    instance: str
    """Drawn at random when the agent started; identifies it when it connects again."""
    outline: list[str]
    together: int
    """Number of agents, itself included, that join a running cluster in one step."""
    zone: str
    """What fails together with this agent."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Initializer: accepts the agent."""

    tag: ClassVar[int] = 51
    epoch: Epoch
    application: str
    silence_ms: int
    """Each side considers the other lost if it sends no heartbeat for this long."""
    options: str
    """JSON, in the form that the initializer's own workers get."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Agent: is ready to start a worker."""

    tag: ClassVar[int] = 52
    epoch: Epoch
    journals: list[list[Any]]
    """The journals on this host: name, and offset behind the last byte."""
    are_local: bool = False
    """Whether journals are on this host's own disk, because no option names a folder for them."""


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Initializer: starts the worker's process."""

    tag: ClassVar[int] = 53
    epoch: Epoch
    name: WorkerName


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """Agent: reports that the process runs."""

    tag: ClassVar[int] = 54
    epoch: Epoch
    pid: int


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """Agent: reports that the process has ended or could not be started."""

    tag: ClassVar[int] = 55
    epoch: Epoch
    reason: str
    has_hung: bool = False
    """Whether it ended itself because a source or sink in it did not return."""


@dataclass(frozen=True, slots=True)
class EndProcess:
    """Initializer: kills the process and what is left of it, immediately."""

    tag: ClassVar[int] = 56
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Agent: was asked to end; its worker must leave the cluster in order."""

    tag: ClassVar[int] = 57
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Initializer: refuses an agent, or ends it."""

    tag: ClassVar[int] = 58
    epoch: Epoch
    what: str
    """Why an offer is refused, or the run ended early; empty if all is in order."""
    hint: str
    again: bool
    """Whether to connect again: the run has failed, and may be started again."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Either side: shows that it is alive."""

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
