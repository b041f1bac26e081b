"""What clients, workers and agents say to the initializer."""
