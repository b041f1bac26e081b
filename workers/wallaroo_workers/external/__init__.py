"""The original's external channel: what operators' scripts ask of a worker, and its answers."""
