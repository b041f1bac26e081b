"""Runs records through steps: chains, states, exchanges."""
