"""Frames about sources that are read by split: which there are, and which worker reads which.

The initializer never asks a source itself, so user code and clients of brokers stay out of it. One
worker asks, and reports every name; each worker gets the names of those that it is to read.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from wallaroo.names import Epoch


@dataclass(frozen=True, slots=True)
class Discovered:
    """Worker: its source has these splits now."""

    tag: ClassVar[int] = 60
    epoch: Epoch
    pipeline: int
    splits: list[str] = field(repr=False)
    """Those that were not reported before in this epoch."""
    is_last: bool
    """Whether no frame follows that belongs to the same answer of the source."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Initializer: this worker reads these splits too from now on.

    To a worker that reads none yet it is sent behind ``Assign``, perhaps in several frames, and a
    position in the checkpoint that ``Assign`` names comes before what this frame says.
    """

    tag: ClassVar[int] = 61
    epoch: Epoch
    pipeline: int
    kind: str
    """A ``SplitKind``, of all of them."""
    splits: list[str] = field(repr=False)
    positions: list[Any] = field(repr=False)
    """One for each split if the kind has positions, otherwise none."""


@dataclass(frozen=True, slots=True)
class SplitsStarted:
    """Worker: the first positions of all its splits of this pipeline are known."""

    tag: ClassVar[int] = 62
    epoch: Epoch
    pipeline: int


@dataclass(frozen=True, slots=True)
class SplitsEnded:
    """Worker: these splits have ended, and all their records are taken."""

    tag: ClassVar[int] = 63
    epoch: Epoch
    pipeline: int
    ended: dict[str, str] = field(repr=False)
    """Why each broke off; empty if it did not."""


SplitFrame = Discovered | Splits | SplitsStarted | SplitsEnded
