"""Checks of the models against the public JAX release, and of the metrics on degraded images."""
