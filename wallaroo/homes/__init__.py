"""What the manager of a home decides: which hosts run, what starts again, how many workers run.

A home is a system that starts our processes on its machines, such as Ray. The code here knows none
of them: it sees hosts by name, and nodes by the home's names for them.
"""
