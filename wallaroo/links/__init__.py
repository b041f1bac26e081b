"""Connections between workers, without sockets."""
