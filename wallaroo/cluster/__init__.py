"""Decisions about the cluster as a whole: start, barriers, back-pressure, restart, stop."""
