"""Operations, memory and disk space of a training run, estimated from its traced step."""
