"""Key to partition to worker."""
