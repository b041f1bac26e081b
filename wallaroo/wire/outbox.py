"""Frames about results that are delivered after their checkpoint, if keys moved before it.

A manifest then has results of several cuts, and those of a lower one come first, whichever worker
writes them. With results of one cut none of these frames is sent.
"""

from dataclasses import dataclass
from typing import ClassVar

from wallaroo.names import CheckpointId, Epoch


@dataclass(frozen=True, slots=True)
class CutDelivered:
    """Worker: its sinks have all results of this cut."""

    tag: ClassVar[int] = 64
    epoch: Epoch
    cut: CheckpointId


@dataclass(frozen=True, slots=True)
class DeliverCut:
    """Initializer: the sinks of all workers have the results of lower cuts; deliver this one."""

    tag: ClassVar[int] = 65
    epoch: Epoch
    cut: CheckpointId


OutboxFrame = CutDelivered | DeliverCut
