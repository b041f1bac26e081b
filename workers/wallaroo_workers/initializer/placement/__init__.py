"""Where worker processes run: on this host, or on the hosts of agents."""
