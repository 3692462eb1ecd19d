"""Inspects the records of a dataset: statistics, compared with the paper's, and an HTML page with samples."""
