"""Tests an application without a cluster: over given records, or on a simulated cluster."""

from wallaroo.testing.aggregation_check import check_aggregation
from wallaroo.testing.collecting import Collected, collect
from wallaroo.testing.doubles import TestSink, TestSource
from wallaroo.testing.faults import ALL_FAULTS, NO_FAULTS, Faults
from wallaroo.testing.simulation import SimulationError, SimulationResult, simulate
from wallaroo.testing.virtual_time import Advance, AdvanceWall, Record

__all__ = [
    "ALL_FAULTS",
    "NO_FAULTS",
    "Advance",
    "AdvanceWall",
    "Collected",
    "Faults",
    "Record",
    "SimulationError",
    "SimulationResult",
    "TestSink",
    "TestSource",
    "check_aggregation",
    "collect",
    "simulate",
]
