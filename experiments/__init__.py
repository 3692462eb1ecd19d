"""The paper's experiments: ablations, footprint, figures, checks against independent truth, and benchmarks."""
