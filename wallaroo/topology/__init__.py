"""From what the user declared to the plan that every process runs."""
