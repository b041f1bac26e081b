"""Names for the numbers and strings that identify things, so that mypy tells them apart."""

from typing import NewType

WorkerName = NewType("WorkerName", str)
"""A worker process for as long as it is a member, restarts included: ``w1``."""

Epoch = NewType("Epoch", int)
"""Number of a membership; it goes up whenever a worker starts, restarts, joins or leaves."""

CheckpointId = NewType("CheckpointId", int)
"""Number of a barrier that runs through the whole cluster."""

NO_BARRIER = CheckpointId(0)
"""What comes before all barriers."""

StepId = NewType("StepId", int)
"""Position of a step among all steps of a plan."""

EdgeId = NewType("EdgeId", int)
"""Position of an exchange among all exchanges of a plan."""

SinkId = NewType("SinkId", int)
"""Position of a sink among all sinks of a plan."""

PartitionId = NewType("PartitionId", int)
"""One of a state's partitions: hashed keys first, then one for each declared key."""
