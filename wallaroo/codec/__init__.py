"""Bytes to frames and back, without any I/O."""
