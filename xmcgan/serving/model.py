"""The whole way from captions to images, as functions of tensors of any batch size."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder, TextFeatures
from xmcgan.models.vocabulary import name_tokens
from xmcgan.serving.parts import in_parts
from xmcgan.synthesis import mix, noise_of, to_uint8

# The generator attends from a map of so many regions a side.
REGIONS = 16


class TextToImage:
    """A trained generator and its text encoder.

    An image depends on its caption and noise, whatever else is in the batch; a batch may be empty. Memory is bounded
    whatever its size. Captions are cut to the text length as in training.

    Attributes:
      generator, text_encoder: as given.
      image_size: pixels a side.
      noise_dim: width of z.
      text_length: tokens of a caption.
    """

    def __init__(
        self,
        generator: Generator,
        text_encoder: TextEncoder,
        config: Config,
        vocabulary: Sequence[str] = (),
        at_once: int = 16,
    ):
        """Args:
        generator: the trained (averaged) generator.
        text_encoder: the encoder that it was trained with.
        config: of the run.
        vocabulary: the tokens by their ids, see `read_vocabulary`.
        at_once: the largest number of images that are worked on together.
        """
        self.generator, self.text_encoder = generator, text_encoder
        self.image_size, self.noise_dim = config.data.image_size, config.generator.noise_dim
        self.text_length = config.data.text_length
        self.attends = generator.region_projection is not None
        self._vocabulary, self._at_once = list(vocabulary), at_once
        self._images_like = tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.uint8)

    def seed_of_each(self, seed: tf.Tensor, captions: tf.Tensor) -> tf.Tensor:
        """Requires one seed for all captions, or one for each.

        Args:
          seed: int64, of any shape with one element, or [batch].
          captions: [batch].

        Returns:
          [batch] int64.
        """
        size = tf.size(captions)
        fits = tf.logical_or(tf.equal(tf.size(seed), 1), tf.equal(tf.size(seed), size))
        seed = _required(fits, "seed: give one for all captions, or one for each", seed)
        return tf.broadcast_to(tf.reshape(seed, [-1]), [size])

    def noise(self, seeds: tf.Tensor) -> tf.Tensor:
        """The noise vectors of seeds: int64 [batch] -> z, [batch, noise_dim]."""
        return noise_of(tf.ensure_shape(seeds, [None]), self.noise_dim)

    def images(self, captions: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Draws captions.

        Args:
          captions: [batch] string.
          z: [batch, noise_dim].

        Returns:
          uint8 [batch, size, size, 3].
        """

        def of_part(captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
            return [self._draw(self.text_encoder(captions), z)[0]]

        captions, z = _one_each(captions=captions, z=z)
        return in_parts(of_part, [captions, z], [self._images_like], self._at_once)[0]

    def attention(self, captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
        """Draws captions, and tells where it looked.

        Args:
          captions, z: as of `images`.

        Returns:
          The images; how much each region attended to each word, float32 [batch, 16, 16, text_length]; and the words
          (the caption's tokens), string [batch, text_length], '' for padding.
        """

        def of_part(captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
            tokens = self.text_encoder.tokenize(captions)
            images, attention = self._draw(self.text_encoder.encode(tokens), z)
            words = name_tokens(self._vocabulary, tokens["input_word_ids"], tokens["input_mask"])
            return [images, tf.reshape(attention, [-1, REGIONS, REGIONS, self.text_length]), words]

        captions, z = _one_each(captions=captions, z=z)
        outputs_like = [
            self._images_like,
            tf.TensorSpec([None, REGIONS, REGIONS, self.text_length], tf.float32),
            tf.TensorSpec([None, self.text_length], tf.string),
        ]
        return in_parts(of_part, [captions, z], outputs_like, self._at_once)

    def tokens(self, captions: tf.Tensor) -> list[tf.Tensor]:
        """What the text encoder reads of captions.

        Args:
          captions: [batch] string.

        Returns:
          The words (tokens), string [batch, text_length], '' for padding; and whether a caption was cut, bool [batch].
        """
        (captions,) = _one_each(captions=captions)
        tokens = self.text_encoder.tokenize(captions)
        words = name_tokens(self._vocabulary, tokens["input_word_ids"], tokens["input_mask"])
        return [words, self.text_encoder.is_cut(captions)]

    def mixed(self, captions: tf.Tensor, others: tf.Tensor, share: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Draws what lies between captions, see `synthesis.mix`.

        Args:
          captions, others: [batch] string.
          share: of the others, [batch] in [0, 1].
          z: [batch, noise_dim].

        Returns:
          uint8 [batch, size, size, 3].
        """

        def of_part(captions: tf.Tensor, others: tf.Tensor, share: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
            text, weights = mix(self.text_encoder(captions), self.text_encoder(others), share)
            return [self._draw(text, z, weights)[0]]

        captions, others, share, z = _one_each(captions=captions, other_captions=others, share=share, z=z)
        in_range = tf.reduce_all((share >= 0.0) & (share <= 1.0))
        share = _required(in_range, "share: give numbers from 0 to 1", share)
        return in_parts(of_part, [captions, others, share, z], [self._images_like], self._at_once)[0]

    def _draw(
        self, text: TextFeatures, z: tf.Tensor, word_weights: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        output = self.generator(z, text, training=False, word_weights=word_weights)
        return to_uint8(output.image), output.attention


def _one_each(**rows: tf.Tensor) -> list[tf.Tensor]:
    """The same tensors, which must have the shapes known of them and as many rows; a failure names the input."""
    # TensorFlow itself compares what a request brings with neither.
    checked = {name: tf.ensure_shape(x, x.shape) for name, x in rows.items()}
    captions, *_ = checked.values()
    for name, x in checked.items():
        fits = tf.equal(tf.shape(x)[0], tf.size(captions))
        checked[name] = _required(fits, f"{name}: give one for each caption; there are so many", x, tf.size(captions))
    return list(checked.values())


def _required(condition: tf.Tensor, message: str, x: tf.Tensor, *details: tf.Tensor) -> tf.Tensor:
    """`x`, which nothing uses before the condition is found to hold."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, *details])]):
        return tf.identity(x)
