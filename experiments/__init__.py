"""Ablations of the paper, cost and memory estimates, figures, correctness checks, and benchmarks."""

import xmcgan  # noqa: F401  It chooses Keras 2.
