"""Which hosts a cluster starts on.

A start needs as many hosts as the user expects. After a crash it also needs the hosts of all
workers whose journals hold input that the last checkpoint lacks, and these may be more: the cluster
may have grown since the user gave the number. Without them that input would count as lost, although
it is only on a host that has not been asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from wallaroo.names import WorkerName
from wallaroo.wire.agents import Offer


@dataclass(frozen=True, slots=True)
class MembersBefore:
    """The workers of an earlier run."""

    members: list[WorkerName] = field(default_factory=list)
    """Those in its last checkpoint."""
    needed: list[WorkerName] = field(default_factory=list)
    """Those of them whose input is only on their own hosts, which are not the initializer's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The hosts that a start takes, of those that are present."""

    offers: list[Offer]
    """In the order in which they were made."""
    missing: int
    """How many more hosts the start waits for."""
    needed: list[WorkerName]
    """The workers among them whose input is needed."""


def choose_hosts(
    offers: Sequence[Offer],
    count: int,
    names: Collection[str],
    needed: Sequence[WorkerName],
) -> Choice:
    """Return which of these hosts a start takes.

    It takes ``count`` hosts, or all of ``names`` if there are any, and the hosts of the workers
    ``needed`` in any case. A host that accepts any name can run one of these: the pool gives each
    name to the host that has its journal.
    """
    expected = {*names, *needed} if names else set()
    count = len(expected) or count
    fitting = [each for each in offers if not expected or each.name in expected]
    named = [each for each in fitting if each.name in needed]
    offered = {each.name for each in named}
    open_names = [worker for worker in needed if worker not in offered]
    unnamed = [each for each in fitting if not each.name]
    first = [*named, *unnamed[: len(open_names)]]
    chosen = {each.instance for each in first}
    others = [each for each in fitting if each.instance not in chosen]
    chosen |= {each.instance for each in others[: max(count - len(first), 0)]}
    absent = open_names[len(unnamed) :]
    taken = [each for each in fitting if each.instance in chosen]
    return Choice(taken, max(count - len(taken), len(absent)), absent)
