"""Homes for clusters: systems that run our processes on their machines (``--on NAME``)."""
