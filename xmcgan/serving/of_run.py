"""The model to serve, of a training run."""

from __future__ import annotations

from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models.vocabulary import read_vocabulary
from xmcgan.serving import weights
from xmcgan.serving.model import TextToImage
from xmcgan.synthesis import load_text_encoder
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator


def load_model(
    config: Config,
    checkpoint: str,
    data_dir: str,
    *,
    precision: str = "float32",
    fold_statistics: bool = False,
    at_once: int = 16,
) -> TextToImage:
    """Builds the model, with the averaged weights of a checkpoint.

    Args:
      config: of the run.
      checkpoint: its path.
      data_dir: folder of all records.
      precision: see `weights.in_precision`.
      fold_statistics: see `weights.fold_statistics`.
      at_once: the largest number of images that are worked on together.

    Raises:
      FileNotFoundError, ValueError: the text encoder cannot be loaded, or the checkpoint is damaged.
    """
    generator = build_generator(config)
    checkpoints.restore_generator(checkpoint, generator)
    if fold_statistics:
        weights.fold_statistics(generator)
    generator = weights.in_precision(generator, config, precision)
    text_encoder = load_text_encoder(config, data_dir)
    vocabulary = read_vocabulary(handles.resolve_text(config.text, data_dir)[0])
    return TextToImage(generator, text_encoder, config, vocabulary, at_once)
