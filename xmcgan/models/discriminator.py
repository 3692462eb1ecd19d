"""The contrastive discriminator: a critic and an encoder of images, regions and sentences (section 4.3, Table 8b)."""

from __future__ import annotations

import functools
from typing import Any, Callable, NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.blocks import DiscriminatorBlock
from xmcgan.models.precision import at_least_float32
from xmcgan.models.recomputation import directly
from xmcgan.models.spectral_norm import SpectralConv2D, SpectralDense

# Widths of the residual blocks in units of ch: from the image to 16 x 16, then to 4 x 4.
_REGION_BLOCKS = {64: (2, 4), 128: (1, 2, 4), 256: (1, 2, 4, 8)}
_IMAGE_BLOCKS = {64: (8, 16), 128: (8, 16), 256: (8, 16)}


class DiscriminatorOutput(NamedTuple):
    """The critic's verdict and the features of the contrastive losses."""

    logits: tf.Tensor  # [batch]; greater is more real
    image_features: tf.Tensor  # f_img, [batch, 16 ch]
    sentence_features: tf.Tensor  # f_sent, [batch, 16 ch]
    region_features: tf.Tensor  # f_region, [batch, 256, dim]


class Discriminator(tf.keras.Model):
    """Images and sentence embeddings -> logits and features."""

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

    def parameters(self, training: bool) -> dict[str, Any]:
        """What the passes of a step compute with: all kernels normalized, all biases, by the names of the layers.

        Args:
          training: advance every power iteration by one step.

        Returns:
          A structure of tensors for `call`. Gradients with respect to them flow on to the trained kernels.
        """
        return {layer.name: layer.parameters(training) for layer in self.layers}

    def call(
        self,
        images: tf.Tensor,
        sentences: tf.Tensor,
        parameters: dict[str, Any] | None = None,
        run: Callable = directly,
        training: bool = False,
    ) -> DiscriminatorOutput:
        """Judges and encodes.

        Args:
          images: [batch, size, size, 3] in [0, 1].
          sentences: e_s, [batch, dim].
          parameters: of this step; None makes them for this call alone.
          run: calls a block: `directly` or `recompute`.
          training: without `parameters`: see there.

        Returns:
          A `DiscriminatorOutput`, in full precision.
        """

        def through(layer: tf.keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
            return layer(x, parameters[layer.name] if parameters else None, training=training)

        def through_block(block: DiscriminatorBlock, x: tf.Tensor) -> tf.Tensor:
            own = parameters[block.name] if parameters else None
            return run(functools.partial(block, training=training), [x], [own])

        x = images
        for block in self.region_blocks:
            x = through_block(block, x)  # ... -> [batch, 16, 16, 8 ch (256 px) or 4 ch]
        regions = at_least_float32(through(self.region_projection, x))
        for block in self.image_blocks:
            x = through_block(block, x)  # ... -> [batch, 4, 4, 16 ch]
        pooled = tf.reduce_sum(tf.nn.relu(at_least_float32(x)), axis=[1, 2])  # [batch, 16 ch]

        sentence_features = at_least_float32(through(self.sentence_projection, sentences))
        logits = at_least_float32(through(self.to_logit, pooled))[:, 0]
        logits += tf.reduce_sum(pooled * sentence_features, axis=-1)

        image_features = pooled
        for i, layer in enumerate(self.contrastive_head):
            image_features = at_least_float32(through(layer, image_features if i == 0 else tf.nn.relu(image_features)))
        return DiscriminatorOutput(
            logits,
            image_features,
            sentence_features,
            tf.reshape(regions, [-1, regions.shape[1] * regions.shape[2], regions.shape[3]]),
        )
