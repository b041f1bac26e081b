"""Processing records: the engine and its inbox."""
