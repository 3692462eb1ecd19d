"""Finds the objects that captions name, for SOA."""
