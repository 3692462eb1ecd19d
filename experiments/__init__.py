"""Ablations of the paper, cost and memory estimates, figures, correctness checks, and benchmarks."""
