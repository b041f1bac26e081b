"""Clusters inside a program of the user's: a script, a notebook, a test."""
