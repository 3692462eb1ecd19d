"""What is in the records: numbers beside the paper's, and a sheet of samples to look at."""
