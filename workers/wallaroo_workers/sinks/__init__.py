"""Runners of sinks."""
