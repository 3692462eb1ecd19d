"""The embedded dataset: procedurally drawn pictures with captions, in the source layouts of the real datasets."""
