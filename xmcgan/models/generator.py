"""The one-stage generator with attentional self-modulation (paper section 4.2 and Table 8a)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf

from xmcgan.config import GeneratorConfig
from xmcgan.models.attention import attend_to_words
from xmcgan.models.blocks import GeneratorBlock, conv
from xmcgan.models.modulation import (
    AttentionalSelfModulation,
    Condition,
    SelfModulation,
    Statistics,
    batch_statistics,
    feature_map,
)
from xmcgan.models.precision import at_least_float32
from xmcgan.models.recomputation import Wrapper, keep
from xmcgan.models.resampling import UPSAMPLING
from xmcgan.models.text_encoder import TextFeatures

# Widths of the residual blocks in units of ch: from 4 x 4 to 16 x 16, then from 16 x 16 to the image.
_SENTENCE_BLOCKS = (16, 8)
_WORD_BLOCKS = {64: (4, 2), 128: (4, 2, 1), 256: (8, 4, 2, 1)}


class GeneratorOutput(NamedTuple):
    """The generated images, the attention over words, and the batch statistics."""

    image: tf.Tensor  # [batch, size, size, 3] in [0, 1]
    attention: tf.Tensor | None  # Of each 16 x 16 region over words, [batch, 256, words]; None without attention
    statistics: list[Statistics | None]  # Of each modulation, from first to last; None outside of training


class Generator(tf.keras.Model):
    """Noise and text features -> images (Table 8a)."""

    def __init__(self, options: GeneratorConfig, image_size: int, text_dim: int, **kwargs):
        """Makes the network; the first call makes its variables.

        Args:
          options: widths and choices.
          image_size: pixels per side; one of IMAGE_SIZES.
          text_dim: width of e_s and e_w.
          **kwargs: see `tf.keras.Model`.
        """
        super().__init__(**kwargs)
        self.options = options
        ch = options.channels
        attentional = options.modulation == "attentional"

        def modulation(kind: type[SelfModulation], name: str) -> SelfModulation:
            momentum, epsilon = options.batch_norm_momentum, options.batch_norm_epsilon
            upsampling = UPSAMPLING[options.context_upsampling]
            return kind(momentum, epsilon, options.batch_norm_replicas, upsampling, name=name)

        in_sentence_blocks = functools.partial(modulation, SelfModulation)
        in_word_blocks = functools.partial(modulation, AttentionalSelfModulation if attentional else SelfModulation)

        block = functools.partial(GeneratorBlock, upsampling=UPSAMPLING[options.shortcut_upsampling])
        dense = functools.partial(tf.keras.layers.Dense, kernel_initializer="glorot_normal")
        self.sentence_projection = dense(options.condition_dim, name="sentence_projection")
        self.stem = dense(4 * 4 * 16 * ch, name="stem")
        self.sentence_blocks = [
            block(width * ch, in_sentence_blocks, name=f"sentence_block_{i}")
            for i, width in enumerate(_SENTENCE_BLOCKS)
        ]
        # Projects regions to the width of the word embeddings, so that regions can attend to words.
        self.region_projection = conv(text_dim, 1, "region_projection") if attentional else None
        self.word_blocks = [
            block(width * ch, in_word_blocks, name=f"word_block_{i}")
            for i, width in enumerate(_WORD_BLOCKS[image_size])
        ]
        self.last_modulation = in_word_blocks("last_modulation")
        self.to_rgb = conv(3, 3, "to_rgb")

    def call(
        self,
        z: tf.Tensor,
        text: TextFeatures,
        use_batch_statistics: bool = False,
        wrap: Wrapper = keep,
        word_weights: tf.Tensor | None = None,
    ) -> GeneratorOutput:
        """Draws one image for each caption.

        Args:
          z: noise ~ N(0, I), [batch, noise_dim].
          text: features of the captions.
          use_batch_statistics: whether to normalize by the batch's statistics, as in training, instead of the moving
            averages. The moving averages do not change in either case (see `update_moving_averages`).
          wrap: applied to each stage between two batch normalizations, to save memory: `keep` or `recompute`.
          word_weights: how often each word counts in the attention, [batch, words]; None counts each word once.

        Returns:
          A `GeneratorOutput`: the images in [0, 1], the attention, and the statistics.
        """
        sentence = self.sentence_projection(text.sentence)  # [batch, 128]
        z = tf.cast(z, sentence.dtype)
        condition = Condition(tf.concat([sentence, z], axis=-1))

        x = self.stem(condition.vector if self.options.stem == "condition" else z)  # [batch, 4 * 4 * 16 ch]
        x = feature_map(tf.reshape(x, [-1, 4, 4, 16 * self.options.channels]), use_batch_statistics)
        statistics: list[Statistics | None] = []
        for block in self.sentence_blocks:
            x, seen = block(*x, condition, wrap=wrap)  # ... -> [batch, 16, 16, 8 ch]
            statistics += seen

        attention = None
        if self.region_projection is not None:
            context, attention = wrap(self._attend)(x.value, text, word_weights)
            condition = Condition(condition.vector, context)

        for block in self.word_blocks:
            x, seen = block(*x, condition, wrap=wrap)  # ... -> [batch, size, size, ch]
            statistics += seen
        statistics.append(batch_statistics(self.last_modulation, x.moments))
        image = wrap(self._to_image)(x.value, condition, statistics=statistics[-1])
        return GeneratorOutput(image, attention, statistics)

    def _attend(self, x: tf.Tensor, text: TextFeatures, word_weights: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Attends to words: [batch, 16, 16, channels] -> context [batch, 16, 16, dim], alpha [batch, 256, words]."""
        assert self.region_projection is not None
        dim = text.words.shape[-1]
        context, attention = attend_to_words(
            tf.reshape(at_least_float32(self.region_projection(x)), [-1, 16 * 16, dim]),
            text.words,
            text.lengths,
            rho_0=self.options.rho_0,
            normalize_context=self.options.context_words == "normalized",
            weights=word_weights,
        )
        return tf.cast(tf.reshape(context, [-1, 16, 16, dim]), x.dtype), attention

    def _to_image(self, x: tf.Tensor, condition: Condition, statistics: Statistics | None) -> tf.Tensor:
        x = tf.nn.relu(self.last_modulation(x, condition, statistics))
        return (tf.tanh(at_least_float32(self.to_rgb(x))) + 1.0) / 2.0

    def update_moving_averages(self, statistics: list[Statistics]) -> None:
        """Updates the moving averages with the statistics of a step, which `call` has returned."""
        for modulation, seen in zip(self.modulations, statistics):
            modulation.statistics.update_moving_averages(seen)

    @property
    def blocks(self) -> list[GeneratorBlock]:
        """All blocks, from first to last."""
        return [*self.sentence_blocks, *self.word_blocks]

    @property
    def modulations(self) -> list[SelfModulation]:
        """All modulation layers, from first to last."""
        in_blocks = [modulation for block in self.blocks for modulation in (block.modulation_0, block.modulation_1)]
        return [*in_blocks, self.last_modulation]
