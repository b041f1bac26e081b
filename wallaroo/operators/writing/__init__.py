"""Writing chains: the compiled loops that take records through the steps of a pipeline."""
