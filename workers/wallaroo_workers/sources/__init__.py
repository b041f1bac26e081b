"""Runners of sources."""
