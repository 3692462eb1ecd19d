"""Fetching of published files: whole, verified, and going on where it was cut."""
