"""The embedded dataset: procedurally drawn images with captions, in the source layouts of the real datasets."""
