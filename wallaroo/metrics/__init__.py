"""Metrics of a running cluster: counts, histograms, and what is derived from them."""
