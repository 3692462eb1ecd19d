"""The drawn dataset: procedurally drawn images with captions, in the layouts of the published datasets."""
