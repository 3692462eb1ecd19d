"""The rows of the paper's tables: what they are, how they are run, and what came of them."""
