"""Records through steps: chains, states, exchanges."""
