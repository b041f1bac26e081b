"""The commands: each parses its options, calls one function, and prints the result."""

DISTRIBUTION = "wallaroo-streams"
"""The distribution whose version ``--version`` prints."""
