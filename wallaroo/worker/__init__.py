"""What one worker decides: its lifecycle, barriers, and its part of a resize."""
