"""Converts bytes to frames, without any I/O."""
