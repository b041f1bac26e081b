"""What is measured, and whom it is shown to."""
