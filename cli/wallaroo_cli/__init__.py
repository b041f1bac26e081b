"""The commands: each parses, calls one function, prints."""

DISTRIBUTION = "wallaroo-streams"
"""Whose version ``--version`` tells."""
