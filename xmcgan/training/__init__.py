"""Training: the step of Algorithm 1, the training loop, checkpoints, logs and distribution."""
