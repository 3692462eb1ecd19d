"""The network that stands in for the published ones on scenes, and its training."""
