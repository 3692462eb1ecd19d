"""TFDS builders, which convert published files into records."""
