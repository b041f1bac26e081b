"""The initializer's control channel: connections and requests of clients, workers and agents."""
