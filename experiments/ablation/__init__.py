"""The rows of the paper's tables: their definitions, their runs, and reports of their results."""
