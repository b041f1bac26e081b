"""Where records run: the engine and its inbox."""
