"""Moved: to `xmcgan.images`, `xmcgan.noise`, `xmcgan.text_to_image` and `xmcgan.models.text_encoder`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from xmcgan.images import from_uint8, to_uint8  # noqa: F401
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder, load_text_encoder  # noqa: F401
from xmcgan.noise import seeded_noise

noise_of = seeded_noise


class Synthesizer:
    """Draws images of captions in batches of a fixed size, so that the graph is traced once."""

    def __init__(self, generator: Generator, text_encoder: TextEncoder, noise_dim: int, batch_size: int = 16):
        """Args:
        generator: the trained (averaged) generator, used in inference mode.
        text_encoder: the encoder that it was trained with.
        noise_dim: width of z.
        batch_size: images drawn at once.
        """
        self._text_encoder = text_encoder
        self._batch_size = batch_size

        @tf.function(input_signature=[tf.TensorSpec([batch_size], tf.string), tf.TensorSpec([batch_size], tf.int64)])
        def draw(captions: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
            text = text_encoder(captions)
            return to_uint8(generator(noise_of(seeds, noise_dim), text).image)

        self._draw = draw

    def __call__(self, captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        """Draws one image for each caption and seed.

        Args:
          captions: sentences.
          seeds: as many integers; a seed names a noise vector.

        Returns:
          uint8 [len(captions), size, size, 3].

        Raises:
          ValueError: not as many seeds as captions, or none.
        """
        if len(captions) != len(seeds) or not captions:
            raise ValueError(f"{len(captions)} captions and {len(seeds)} seeds: give as many of each, at least one")
        images = []
        for first in range(0, len(captions), self._batch_size):
            part = slice(first, first + self._batch_size)
            missing = self._batch_size - len(captions[part])
            padded_captions = [*captions[part], *[captions[-1]] * missing]
            padded_seeds = [*seeds[part], *[seeds[-1]] * missing]
            drawn = self._draw(tf.constant(padded_captions), tf.constant(padded_seeds, tf.int64))
            images.append(drawn.numpy()[: self._batch_size - missing])
        return np.concatenate(images)
