"""Where checkpoints and journals are kept: object stores, directories, files."""
