"""What the commands do, free of click."""
