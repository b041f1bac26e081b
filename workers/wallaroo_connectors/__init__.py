"""Connectors for other systems, written with the public SDK of ``wallaroo`` alone.

Each is a package of its own and needs its client library only when it runs: it can be imported,
and ``build()`` says what to install.
"""
