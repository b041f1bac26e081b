"""What the initializer decides: phases, members, resizes, checkpoint rounds, the manifest."""
