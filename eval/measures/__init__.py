"""The measures: one module for each kind of network that images are measured with."""
