"""Wallaroo Streams: what an application imports."""

__version__ = "0.1.0"
