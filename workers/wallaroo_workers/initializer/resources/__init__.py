"""The resources that a run reserves: addresses, files, the store of checkpoints."""
