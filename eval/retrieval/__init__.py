"""Image-text dual encoders for R-precision, and their training."""
