"""What a run takes for itself: addresses, files, its store of checkpoints."""
