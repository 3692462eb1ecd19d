"""Training: the step of Algorithm 1, the loop around it, and what a run leaves behind."""
