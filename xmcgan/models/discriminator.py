"""The contrastive discriminator: a critic and an encoder of pictures, regions and sentences (section 4.3, Table 8b)."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.blocks import DiscriminatorBlock
from xmcgan.models.spectral_norm import SpectralConv2D, SpectralDense

# Widths of the residual blocks in units of ch: from the picture to 16 x 16, then to 4 x 4.
_REGION_BLOCKS = {64: (2, 4), 128: (1, 2, 4), 256: (1, 2, 4, 8)}
_IMAGE_BLOCKS = {64: (8, 16), 128: (8, 16), 256: (8, 16)}


class DiscriminatorOutput(NamedTuple):
    """The critic's verdict and the features of the contrastive losses."""

    logits: tf.Tensor  # [batch]; greater is more real
    image_features: tf.Tensor  # f_img, [batch, 16 ch]
    sentence_features: tf.Tensor  # f_sent, [batch, 16 ch]
    region_features: tf.Tensor  # f_region, [batch, 256, dim]


class Discriminator(tf.keras.Model):
    """Pictures and sentence embeddings -> logits and features."""

    def __init__(self, config: Config, **kwargs):
        """Args:
        config: `discriminator`, `data.image_size` and `text.dim` are used.
        """
        super().__init__(**kwargs)
        options = config.discriminator
        ch, epsilon = options.channels, options.spectral_norm_epsilon
        size = config.data.image_size
        self.region_blocks = [
            DiscriminatorBlock(width * ch, epsilon, first=i == 0, name=f"region_block_{i}")
            for i, width in enumerate(_REGION_BLOCKS[size])
        ]
        self.region_projection = SpectralConv2D(config.text.dim, 1, epsilon, name="region_projection")
        self.image_blocks = [
            DiscriminatorBlock(width * ch, epsilon, name=f"image_block_{i}")
            for i, width in enumerate(_IMAGE_BLOCKS[size])
        ]
        self.image_blocks.append(DiscriminatorBlock(16 * ch, epsilon, down=False, name="image_block_last"))
        # The projection of e_s serves the logit and the sentence loss alike.
        self.sentence_projection = SpectralDense(16 * ch, epsilon, name="sentence_projection")
        self.to_logit = SpectralDense(1, epsilon, name="to_logit")
        # Fig. 5: an MLP over the pooled features, for the contrastive losses alone; the paper's winner has none.
        self.contrastive_head = [
            SpectralDense(16 * ch, epsilon, name=f"contrastive_head_{i}")
            for i in range(options.contrastive_head_layers)
        ]

    def call(self, images: tf.Tensor, sentences: tf.Tensor, training: bool = False) -> DiscriminatorOutput:
        """Judges and encodes.

        Args:
          images: [batch, size, size, 3] in [0, 1].
          sentences: e_s, [batch, dim].
          training: advance the power iterations of spectral normalisation by one step.

        Returns:
          A `DiscriminatorOutput`.
        """
        x = images
        for block in self.region_blocks:
            x = block(x, training=training)  # ... -> [batch, 16, 16, 8 ch (256 px) or 4 ch]
        regions = self.region_projection(x, training=training)
        for block in self.image_blocks:
            x = block(x, training=training)  # ... -> [batch, 4, 4, 16 ch]
        pooled = tf.reduce_sum(tf.nn.relu(x), axis=[1, 2])  # [batch, 16 ch]

        sentence_features = self.sentence_projection(sentences, training=training)
        logits = self.to_logit(pooled, training=training)[:, 0]
        logits += tf.reduce_sum(pooled * sentence_features, axis=-1)

        image_features = pooled
        for i, layer in enumerate(self.contrastive_head):
            image_features = layer(image_features if i == 0 else tf.nn.relu(image_features), training=training)
        return DiscriminatorOutput(
            logits,
            image_features,
            sentence_features,
            tf.reshape(regions, [-1, regions.shape[1] * regions.shape[2], regions.shape[3]]),
        )
