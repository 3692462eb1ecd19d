"""The builders of TFDS: what each owner publishes -> records."""
