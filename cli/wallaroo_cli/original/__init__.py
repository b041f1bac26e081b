"""The original's command line: each process is started by hand, as its scripts do."""
