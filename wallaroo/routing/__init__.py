"""Routes keys to partitions, and partitions to workers."""
