"""The networks that replace the published ones on scenes, and their training."""
