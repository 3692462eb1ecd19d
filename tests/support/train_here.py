"""Trains in this process as `python -m xmcgan.train` does, on data that is already prepared."""

from __future__ import annotations

from data_pipelines.training_data import TrainingData
from xmcgan.config import Config
from xmcgan.models.text_encoder import load_text_encoder
from xmcgan.training import cluster, loop
from xmcgan.training.validation import HeldOut


def train_here(config: Config, data_dir, workdir, **options) -> HeldOut | None:
    """Trains an experiment that has no losses of the image encoder; returns the last validation."""
    strategy = cluster.create_strategy()
    with strategy.scope():
        text_encoder = load_text_encoder(config, str(data_dir))
    data = TrainingData(config, data_dir)
    data.check_stored_text()
    return loop.train(config, str(workdir), data, text_encoder, strategy=strategy, **options)
