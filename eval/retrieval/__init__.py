"""The training of image-text dual encoders, for R-precision."""
