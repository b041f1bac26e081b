"""Where workers live: on this host, or where agents offer."""
