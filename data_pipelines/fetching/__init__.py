"""Downloads published files: verified, atomic, and resumable."""
