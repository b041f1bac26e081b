"""Why a host cannot run a worker, and the rule about input that would be lost with its disk."""

from collections.abc import Collection
from dataclasses import dataclass

from wallaroo.wire.agents import Offer, Prepared


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not accepted or cannot join, and what to do about it."""

    what: str
    hint: str


class InputAtRisk(Refusal):
    """Accepted input would be lost with the disk of this host."""


def input_at_risk(
    offer: Offer, frame: Prepared, own_host: str, journalled: Collection[str]
) -> InputAtRisk | None:
    """Return why accepted input could be lost with this host while the cluster lives on.

    ``own_host`` is the initializer's. ``journalled`` are the pipelines of which no accepted input
    may be lost, and which cannot read it again.

    What fails together with the initializer, such as a second agent on its machine, takes the run
    with it, so its journals are no more at risk than those of the initializer's own workers.
    """
    fails_with_us = offer.host == offer.zone == own_host
    if fails_with_us or not frame.are_local or not journalled:
        return None
    names = ", ".join(map(repr, journalled))
    return InputAtRisk(
        f"accepted input of {names} could be lost with host {offer.host}: until the next "
        "checkpoint it is only in a journal on the disk of that host, and it cannot be read again",
        "give --journal-dir a folder that outlives the host, such as one that all hosts share; or "
        "give --allow-lost-input, if that input may be lost",
    )
