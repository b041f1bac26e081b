"""Tests an application on a simulated cluster: crashes, lost messages, slow disks, by a seed."""

from wallaroo.testing.faults import ALL_FAULTS, NO_FAULTS, Faults
from wallaroo.testing.simulation import SimulationError, SimulationResult, simulate

__all__ = [
    "ALL_FAULTS",
    "NO_FAULTS",
    "Faults",
    "SimulationError",
    "SimulationResult",
    "simulate",
]
