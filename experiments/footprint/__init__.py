"""What a training run takes: operations, memory, disk."""
