"""The one-stage generator with attentional self-modulation (paper section 4.2 and Table 8a)."""

from __future__ import annotations

from typing import Callable, NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.attention import attend_to_words
from xmcgan.models.blocks import GeneratorBlock, conv
from xmcgan.models.modulation import AttentionalSelfModulation, Condition, SelfModulation, Statistics, feature_map
from xmcgan.models.precision import at_least_float32
from xmcgan.models.recomputation import directly
from xmcgan.models.text_encoder import TextFeatures

# Widths of the residual blocks in units of ch: from 4 x 4 to 16 x 16, then from 16 x 16 to the image.
_SENTENCE_BLOCKS = (16, 8)
_WORD_BLOCKS = {64: (4, 2), 128: (4, 2, 1), 256: (8, 4, 2, 1)}


class GeneratorOutput(NamedTuple):
    """What the generator draws, and where it looked."""

    image: tf.Tensor  # [batch, size, size, 3] in [0, 1]
    attention: tf.Tensor | None  # Of each 16 x 16 region over words, [batch, 256, words]; None without attention
    statistics: list[Statistics | None]  # Of each modulation, from the first to the last; None outside of training


class Generator(tf.keras.Model):
    """Noise and text features -> images."""

    def __init__(self, config: Config, **kwargs):
        """Args:
        config: `generator`, `data.image_size` and `text.dim` are used.
        """
        super().__init__(**kwargs)
        self.options = options = config.generator
        ch = options.channels

        def modulation(kind: type) -> SelfModulation:
            return lambda name: kind(
                options.batch_norm_momentum, options.batch_norm_epsilon, options.batch_norm_replicas, name=name
            )

        attentional = options.modulation == "attentional"
        in_word_blocks = modulation(AttentionalSelfModulation if attentional else SelfModulation)

        dense = {"kernel_initializer": "glorot_normal"}
        self.sentence_projection = tf.keras.layers.Dense(options.condition_dim, name="sentence_projection", **dense)
        self.stem = tf.keras.layers.Dense(4 * 4 * 16 * ch, name="stem", **dense)
        self.sentence_blocks = [
            GeneratorBlock(width * ch, modulation(SelfModulation), name=f"sentence_block_{i}")
            for i, width in enumerate(_SENTENCE_BLOCKS)
        ]
        # Maps regions to the width of word embeddings, to attend to them.
        self.region_projection = conv(config.text.dim, 1, "region_projection") if attentional else None
        self.word_blocks = [
            GeneratorBlock(width * ch, in_word_blocks, name=f"word_block_{i}")
            for i, width in enumerate(_WORD_BLOCKS[config.data.image_size])
        ]
        self.last_modulation = in_word_blocks("last_modulation")
        self.to_rgb = conv(3, 3, "to_rgb")

    def call(
        self,
        z: tf.Tensor,
        text: TextFeatures,
        training: bool = False,
        run: Callable = directly,
        word_weights: tf.Tensor | None = None,
    ) -> GeneratorOutput:
        """Draws one image for each caption.

        Args:
          z: noise ~ N(0, I), [batch, noise_dim].
          text: features of the captions.
          training: normalize by the batch's statistics instead of their moving averages, which stay as they are (see
            `follow`).
          run: calls a stage between two batch normalizations: `directly` or `recompute`.
          word_weights: how often each word counts in the attention, [batch, words]; None: once.

        Returns:
          The images, in [0, 1], the attention, and the statistics.
        """
        projected = self.sentence_projection(text.sentence)
        z = tf.cast(z, projected.dtype)
        condition = Condition(tf.concat([projected, z], axis=-1))

        x = self.stem(condition.vector if self.options.stem == "condition" else z)
        x = feature_map(tf.reshape(x, [-1, 4, 4, 16 * self.options.channels]), training)
        statistics = []
        for block in self.sentence_blocks:
            x, of_block = block(*x, condition, run=run)  # ... -> [batch, 16, 16, 8 ch]
            statistics += of_block

        attention = None
        if self.region_projection is not None:
            context, attention = run(self._attend, [x.value], constant_rows=[text, word_weights])
            condition = Condition(condition.vector, context)

        for block in self.word_blocks:
            x, of_block = block(*x, condition, run=run)  # ... -> [batch, size, size, ch]
            statistics += of_block
        statistics.append(self.last_modulation.statistics.of_batch(x.moments))
        image = run(self._to_image, [x.value, condition], statistics[-1:])
        return GeneratorOutput(image, attention, statistics)

    def _attend(self, x: tf.Tensor, text: TextFeatures, word_weights: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """[batch, 16, 16, channels] -> context [batch, 16, 16, dim] and attention [batch, 256, words]."""
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

    def follow(self, statistics: list[Statistics]) -> None:
        """Moves the moving averages towards the statistics of a step, as `call` has returned them."""
        for modulation, of_modulation in zip(self.modulations, statistics):
            modulation.statistics.follow(of_modulation)

    @property
    def modulations(self) -> list[SelfModulation]:
        """All of them, from the first to the last."""
        blocks = (*self.sentence_blocks, *self.word_blocks)
        return [*(each for block in blocks for each in (block.modulation_0, block.modulation_1)), self.last_modulation]
