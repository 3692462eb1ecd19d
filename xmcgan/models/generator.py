"""The one-stage generator with attentional self-modulation (paper section 4.2 and Table 8a)."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.attention import attend_to_words
from xmcgan.models.blocks import GeneratorBlock, conv
from xmcgan.models.modulation import AttentionalSelfModulation, Condition, SelfModulation
from xmcgan.models.text_encoder import TextFeatures

# Widths of the residual blocks in units of ch: from 4 x 4 to 16 x 16, then from 16 x 16 to the picture.
_SENTENCE_BLOCKS = (16, 8)
_WORD_BLOCKS = {64: (4, 2), 128: (4, 2, 1), 256: (8, 4, 2, 1)}


class GeneratorOutput(NamedTuple):
    """What the generator draws, and where it looked."""

    image: tf.Tensor  # [batch, size, size, 3] in [0, 1]
    attention: tf.Tensor | None  # Of each 16 x 16 region over words, [batch, 256, words]; None without attention


class Generator(tf.keras.Model):
    """Noise and text features -> pictures."""

    def __init__(self, config: Config, **kwargs):
        """Args:
        config: `generator`, `data.image_size` and `text.dim` are used.
        """
        super().__init__(**kwargs)
        self.options = options = config.generator
        ch = options.channels

        def modulation(kind: type) -> SelfModulation:
            return lambda name: kind(
                options.batch_norm_momentum, options.batch_norm_epsilon, options.batch_norm_replicas != 1, name=name
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
        self, z: tf.Tensor, text: TextFeatures, training: bool = False, update_statistics: bool = True
    ) -> GeneratorOutput:
        """Draws one picture for each caption.

        Args:
          z: noise ~ N(0, I), [batch, noise_dim].
          text: features of the captions.
          training: normalise by the batch's statistics instead of their moving averages.
          update_statistics: in training, let the moving averages follow (not in a discriminator step).

        Returns:
          The pictures, in [0, 1], and the attention.
        """
        mode = {"training": training, "update_statistics": update_statistics}
        condition = Condition(tf.concat([self.sentence_projection(text.sentence), z], axis=-1))

        x = self.stem(condition.vector if self.options.stem == "condition" else z)
        x = tf.reshape(x, [-1, 4, 4, 16 * self.options.channels])
        for block in self.sentence_blocks:
            x = block(x, condition, **mode)  # ... -> [batch, 16, 16, 8 ch]

        attention = None
        if self.region_projection is not None:
            regions = tf.reshape(self.region_projection(x), [-1, 16 * 16, text.words.shape[-1]])
            context, attention = attend_to_words(
                regions,
                text.words,
                text.lengths,
                rho_0=self.options.rho_0,
                normalize_context=self.options.context_words == "normalized",
            )
            context = tf.reshape(context, [-1, 16, 16, text.words.shape[-1]])
            condition = Condition(condition.vector, context)

        for block in self.word_blocks:
            x = block(x, condition, **mode)  # ... -> [batch, size, size, ch]
        x = tf.nn.relu(self.last_modulation(x, condition, **mode))
        return GeneratorOutput((tf.tanh(self.to_rgb(x)) + 1.0) / 2.0, attention)
