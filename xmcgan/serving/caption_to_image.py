"""From captions to images, as functions of tensors of any batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.images import to_uint8
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder, TextFeatures, load_text_encoder
from xmcgan.models.vocabulary import name_tokens, read_vocabulary
from xmcgan.noise import seeded_noise
from xmcgan.serving import inference_weights
from xmcgan.serving.batching import map_parts, part_function
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator

# Regions per side of the map from which the generator attends to words.
REGIONS = 16
_LARGEST_NOISE = 1000.0  # The largest number of a noise vector. Those of N(0, 1) hardly ever exceed 6.


class CaptionToImage(tf.Module):
    """A trained generator and its text encoder.

    An image depends only on its caption and noise, not on the rest of the batch. A batch may be empty. Memory is
    bounded whatever the size of the batch. Captions are cut off at the text length as in training.

    Attributes:
      generator, text_encoder: the two networks.
      image_size: pixels per side.
      noise_dim: width of z.
      text_length: tokens per caption.
      attends: whether the generator attends to words.
    """

    def __init__(
        self,
        generator: Generator,
        text_encoder: TextEncoder,
        config: Config,
        vocabulary: Sequence[str] = (),
        at_once: int = 16,
    ):
        """Combines the two networks.

        Args:
          generator: the trained (averaged) generator.
          text_encoder: the encoder that the generator was trained with.
          config: of the run.
          vocabulary: the tokens in the order of their ids, see `read_vocabulary`.
          at_once: the largest number of images that are computed together.
        """
        super().__init__(name="caption_to_image")
        self.generator, self.text_encoder = generator, text_encoder
        self.image_size, self.noise_dim = config.data.image_size, config.generator.noise_dim
        self.text_length = config.data.text_length
        self.attends = generator.region_projection is not None
        self._vocabulary, self._at_once = list(vocabulary), at_once
        self._images_like = tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.uint8)

    @classmethod
    def from_checkpoint(
        cls,
        config: Config,
        checkpoint: str,
        data_dir: str,
        *,
        precision: str = "float32",
        fold_statistics: bool = False,
        at_once: int = 16,
    ) -> CaptionToImage:
        """Builds the networks of a run, with the averaged weights of a checkpoint.

        Args:
          config: of the run.
          checkpoint: path of the checkpoint.
          data_dir: folder of all records.
          precision: see `inference_weights.in_precision`.
          fold_statistics: see `inference_weights.fold_statistics`.
          at_once: the largest number of images that are computed together.

        Raises:
          FileNotFoundError: the text encoder cannot be fetched.
          ValueError: the text encoder cannot be loaded, or the checkpoint is damaged.
        """
        generator = build_generator(config)
        checkpoints.restore_generator(checkpoint, generator)
        if fold_statistics:
            inference_weights.fold_statistics(generator)
        generator = inference_weights.in_precision(generator, config, precision)
        text_encoder = load_text_encoder(config, data_dir)
        return cls(generator, text_encoder, config, read_vocabulary(text_encoder.preprocessor), at_once)

    def prepare(self, captions: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Prepares the inputs of `draw`; runs on the host, also in a tf.data `map`, since devices do not take strings.

        Args:
          captions: [batch] string.
          seeds: [batch], integers; each seed determines a noise vector.

        Returns:
          Tensors by name, [batch, ...].
        """
        return {"seed": tf.cast(seeds, tf.int64), **self.text_encoder.tokenize(captions)}

    def draw(self, prepared: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Draws a whole batch at once; runs on a device, also on a replica and within a graph.

        Args:
          prepared: from `prepare`.

        Returns:
          uint8 [batch, size, size, 3].
        """
        z = seeded_noise(prepared["seed"], self.noise_dim)
        return self._draw(self.text_encoder.encode(prepared), z)[0]

    def seed_of_each(self, seed: tf.Tensor, captions: tf.Tensor) -> tf.Tensor:
        """Broadcasts one seed for all captions, or checks that there is one for each.

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
        """Draws the noise vectors of seeds: int64 [batch] -> z, [batch, noise_dim]."""
        return seeded_noise(tf.ensure_shape(seeds, [None]), self.noise_dim)

    def images(self, captions: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Draws one image for each caption and noise vector.

        Args:
          captions: [batch] string.
          z: [batch, noise_dim].

        Returns:
          uint8 [batch, size, size, 3].
        """
        captions, z = _one_each(captions=captions, z=z)
        z = _finite(z)
        return map_parts(self._images_of_part, [captions, z], [self._images_like], self._at_once)[0]

    def attention(self, captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
        """Draws images, and returns the attention as well.

        Args:
          captions: [batch] string.
          z: [batch, noise_dim].

        Returns:
          The images; the attention of each region to each word, float32 [batch, 16, 16, text_length]; and the words
          (the caption's tokens), string [batch, text_length], '' for padding.
        """
        captions, z = _one_each(captions=captions, z=z)
        z = _finite(z)
        outputs_like = [
            self._images_like,
            tf.TensorSpec([None, REGIONS, REGIONS, self.text_length], tf.float32),
            tf.TensorSpec([None, self.text_length], tf.string),
        ]
        return map_parts(self._attention_of_part, [captions, z], outputs_like, self._at_once)

    def tokens(self, captions: tf.Tensor) -> list[tf.Tensor]:
        """Returns the tokens that the text encoder reads of each caption.

        Args:
          captions: [batch] string.

        Returns:
          The words (tokens), string [batch, text_length], '' for padding; and whether a caption has more, bool [batch].
        """
        (captions,) = _one_each(captions=captions)
        tokens = self.text_encoder.tokenize(captions)
        return [self._words(tokens), self.text_encoder.is_cut(captions)]

    def mixed(self, captions: tf.Tensor, others: tf.Tensor, share: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Draws images, each of which lies between two captions, see `mix`.

        Args:
          captions: [batch] string.
          others: [batch] string.
          share: the share of the other caption, [batch] in [0, 1].
          z: [batch, noise_dim].

        Returns:
          uint8 [batch, size, size, 3].
        """
        captions, others, share, z = _one_each(captions=captions, other_captions=others, share=share, z=z)
        z = _finite(z)
        in_range = tf.reduce_all((share >= 0.0) & (share <= 1.0))
        share = _required(in_range, "share: give numbers from 0 to 1", share)
        return map_parts(self._mixed_of_part, [captions, others, share, z], [self._images_like], self._at_once)[0]

    @part_function
    def _images_of_part(self, captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
        return [self._draw(self.text_encoder(captions), z)[0]]

    @part_function
    def _attention_of_part(self, captions: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
        tokens = self.text_encoder.tokenize(captions)
        images, attention = self._draw(self.text_encoder.encode(tokens), z)
        return [images, tf.reshape(attention, [-1, REGIONS, REGIONS, self.text_length]), self._words(tokens)]

    @part_function
    def _mixed_of_part(self, captions: tf.Tensor, others: tf.Tensor, share: tf.Tensor, z: tf.Tensor) -> list[tf.Tensor]:
        text, word_weights = mix(self.text_encoder(captions), self.text_encoder(others), share)
        return [self._draw(text, z, word_weights)[0]]

    def _draw(
        self, text: TextFeatures, z: tf.Tensor, word_weights: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        output = self.generator(z, text, word_weights=word_weights)
        return to_uint8(output.image), output.attention

    def _words(self, tokens: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return name_tokens(self._vocabulary, tokens["input_word_ids"], tokens["input_mask"])


def mix(first: TextFeatures, second: TextFeatures, share: tf.Tensor) -> tuple[TextFeatures, tf.Tensor]:
    """Mixes captions with others: sentence embeddings are averaged, and regions attend to the words of both captions.

    At a share of 0 the generator draws the same image as for the first caption alone; at 1, as for the second alone.

    Args:
      first: features of captions, [batch, ...].
      second: features of as many other captions.
      share: the share of the second caption, [batch] in [0, 1].

    Returns:
      The features, in which words are [batch, 2 words, dim], and how often each word counts, [batch, 2 words].
    """
    length = first.words.shape[1]
    share = share[:, tf.newaxis]  # [batch, 1]
    weights = [
        weight * tf.sequence_mask(text.lengths, length, tf.float32)
        for text, weight in ((first, 1.0 - share), (second, share))
    ]
    text = TextFeatures(
        sentence=(1.0 - share) * first.sentence + share * second.sentence,
        words=tf.concat([first.words, second.words], axis=1),
        lengths=tf.fill([tf.shape(share)[0]], 2 * length),  # The weights exclude the padding.
    )
    return text, tf.concat(weights, axis=1)


def _one_each(**rows: tf.Tensor) -> list[tf.Tensor]:
    """Checks that tensors have their static shapes and one row per caption; errors name the input."""
    # TensorFlow itself does not check a request's inputs for this.
    checked = {name: tf.ensure_shape(x, x.shape) for name, x in rows.items()}
    captions, *_ = checked.values()
    for name, x in checked.items():
        fits = tf.equal(tf.shape(x)[0], tf.size(captions))
        checked[name] = _required(fits, f"{name}: give one for each caption; number of captions:", x, tf.size(captions))
    return list(checked.values())


def _finite(z: tf.Tensor) -> tf.Tensor:
    """Checks noise: a number that is infinite, or overflows in the generator, would make the whole image black."""
    in_range = tf.reduce_all(tf.abs(z) <= _LARGEST_NOISE)  # False for NaN
    return _required(in_range, f"z: give finite numbers from -{_LARGEST_NOISE:.0f} to {_LARGEST_NOISE:.0f}", z)


def _required(condition: tf.Tensor, message: str, x: tf.Tensor, *details: tf.Tensor) -> tf.Tensor:
    """Returns `x`, after asserting the condition."""
    with tf.control_dependencies([tf.debugging.Assert(condition, [message, *details])]):
        return tf.identity(x)
