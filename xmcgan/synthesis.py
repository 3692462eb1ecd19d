"""A trained generator, captions and seeds -> images: what sampling, validation and export share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder, TextFeatures


def load_text_encoder(config: Config, data_dir: str) -> TextEncoder:
    """The text encoder of an experiment.

    Args:
      config: its fields `text` and `data.text_length` are used.
      data_dir: folder of all records.

    Returns:
      The frozen encoder.

    Raises:
      FileNotFoundError, ValueError: it cannot be loaded (see `TextEncoder`).
    """
    return TextEncoder(
        *handles.resolve_text(config.text, data_dir),
        config.data.text_length,
        config.text.sentence_pooling,
        config.text.dim,
    )


def noise_of(seeds: tf.Tensor, dim: int) -> tf.Tensor:
    """The noise vector of each seed: the same wherever in whichever batch the seed stands.

    Args:
      seeds: [batch] int64.
      dim: width of z.

    Returns:
      z ~ N(0, I), [batch, dim].
    """

    def of_one(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal([dim], tf.stack([seed, tf.zeros_like(seed)]))

    return tf.map_fn(of_one, tf.cast(seeds, tf.int64), fn_output_signature=tf.TensorSpec([dim], tf.float32))


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Images in [0, 1] -> levels 0 to 255, rounded."""
    return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)


def from_uint8(images: tf.Tensor) -> tf.Tensor:
    """Levels 0 to 255 -> images in [0, 1] float32."""
    return tf.cast(images, tf.float32) / 255.0


def mix(first: TextFeatures, second: TextFeatures, share: tf.Tensor) -> tuple[TextFeatures, tf.Tensor]:
    """Captions on the way from one to another: their sentences are averaged, and regions attend to the words of both.

    At a share of 0 the generator draws what it draws of the first caption alone, at 1 of the second.

    Args:
      first: features of [batch] captions.
      second: of as many others.
      share: of the second, [batch] in [0, 1].

    Returns:
      The features, [batch, 2 words, dim] of words, and how often each word counts, [batch, 2 words].
    """
    length = first.words.shape[1]
    share = share[:, tf.newaxis]  # [batch, 1]
    weights = [
        of_text * tf.sequence_mask(text.lengths, length, tf.float32)
        for text, of_text in ((first, 1.0 - share), (second, share))
    ]
    text = TextFeatures(
        sentence=(1.0 - share) * first.sentence + share * second.sentence,
        words=tf.concat([first.words, second.words], axis=1),
        lengths=tf.fill([tf.shape(share)[0]], 2 * length),  # The weights leave the padding out.
    )
    return text, tf.concat(weights, axis=1)


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
            return to_uint8(generator(noise_of(seeds, noise_dim), text, training=False).image)

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
