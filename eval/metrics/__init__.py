"""The metrics as pure functions of arrays, one file each."""
