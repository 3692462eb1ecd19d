"""Checks: the models against the public JAX release, and the metrics against images made worse."""
