"""Sources and sinks as values of the plan; ``wallaroo_workers`` has what reads and writes."""
