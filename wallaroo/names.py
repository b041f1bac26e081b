"""Types for the numbers and strings that identify things, so that mypy distinguishes them."""

from typing import NewType

WorkerName = NewType("WorkerName", str)
"""The name of a worker as long as it is a member, restarts included: ``w1``."""

Epoch = NewType("Epoch", int)
"""Number of a set of members; it increases when a worker starts, restarts, joins or leaves."""

CheckpointId = NewType("CheckpointId", int)
"""Number of a barrier, which passes through the whole cluster."""

NO_BARRIER = CheckpointId(0)
"""Lower than the number of any barrier."""

StepId = NewType("StepId", int)
"""Position of a step among all steps of a plan."""

EdgeId = NewType("EdgeId", int)
"""Position of an exchange among all exchanges of a plan."""

SinkId = NewType("SinkId", int)
"""Position of a sink among all sinks of a plan."""

PartitionId = NewType("PartitionId", int)
"""Position of a partition of a state: those for hashed keys, then one for each declared key."""
