"""The contrastive discriminator: a critic, and an encoder of images, regions and sentences (section 4.3, Table 8b)."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from xmcgan.config import DiscriminatorConfig
from xmcgan.models.blocks import DiscriminatorBlock
from xmcgan.models.precision import at_least_float32
from xmcgan.models.recomputation import Wrapper, keep
from xmcgan.models.spectral_norm import SpectralConv2D, SpectralDense, SpectralNormalization

# Widths of the residual blocks in units of ch: from the image to 16 x 16, then from there to 4 x 4.
_REGION_BLOCKS = {64: (2, 4), 128: (1, 2, 4), 256: (1, 2, 4, 8)}
_IMAGE_BLOCKS = (8, 16)


class DiscriminatorOutput(NamedTuple):
    """The critic's logits, and the features for the contrastive losses."""

    logits: tf.Tensor  # [batch]; greater is more real
    image_features: tf.Tensor  # f_img, [batch, 16 ch]
    sentence_features: tf.Tensor  # f_sent, [batch, 16 ch]
    region_features: tf.Tensor  # f_region, [batch, 256, dim]


class Discriminator(tf.keras.Model):
    """Images and sentence embeddings -> logits and features (Table 8b)."""

    def __init__(self, options: DiscriminatorConfig, image_size: int, text_dim: int, **kwargs):
        """Makes the network; the first call makes its variables.

        Args:
          options: widths and choices.
          image_size: pixels per side; one of IMAGE_SIZES.
          text_dim: width of e_s, and of the region features, which are compared with e_w.
          **kwargs: see `tf.keras.Model`.
        """
        super().__init__(**kwargs)
        ch, epsilon = options.channels, options.spectral_norm_epsilon
        self.region_blocks = [
            DiscriminatorBlock(width * ch, epsilon, first=i == 0, name=f"region_block_{i}")
            for i, width in enumerate(_REGION_BLOCKS[image_size])
        ]
        self.region_projection = SpectralConv2D(text_dim, 1, epsilon, name="region_projection")
        self.image_blocks = [
            DiscriminatorBlock(width * ch, epsilon, name=f"image_block_{i}") for i, width in enumerate(_IMAGE_BLOCKS)
        ]
        self.image_blocks.append(DiscriminatorBlock(16 * ch, epsilon, down=False, name="image_block_last"))
        # The logit and the sentence loss share the projection of e_s.
        self.sentence_projection = SpectralDense(16 * ch, epsilon, name="sentence_projection")
        self.to_logit = SpectralDense(1, epsilon, name="to_logit")
        # Fig. 5: an MLP on the pooled features, only for the contrastive losses; the paper's best model has none.
        self.contrastive_head = [
            SpectralDense(16 * ch, epsilon, name=f"contrastive_head_{i}")
            for i in range(options.contrastive_head_layers)
        ]

    def parameters(self, training: bool) -> dict[str, Any]:
        """Returns all normalized kernels and all biases by layer name, for the forward passes of one step.

        Args:
          training: whether to advance every power iteration by one step.

        Returns:
          A structure of tensors for `call`. Their gradients flow on to the trainable kernels.
        """
        spectral = (DiscriminatorBlock, SpectralNormalization)
        return {layer.name: layer.parameters(training) for layer in self.layers if isinstance(layer, spectral)}

    def call(
        self,
        images: tf.Tensor,
        sentences: tf.Tensor,
        parameters: dict[str, Any] | None = None,
        wrap: Wrapper = keep,
    ) -> DiscriminatorOutput:
        """Computes logits and features.

        Args:
          images: [batch, size, size, 3] in [0, 1].
          sentences: e_s, [batch, dim].
          parameters: this step's, from the method `parameters`; None lets each layer make its own for this call.
          wrap: applied to each block, to save memory: `keep` or `recompute`.

        Returns:
          A `DiscriminatorOutput`, in full precision.
        """
        parameters = parameters or {}
        x = images
        for block in self.region_blocks:
            x = wrap(block)(x, parameters=parameters.get(block.name))  # ... -> [batch, 16, 16, 8 ch (256 px) or 4 ch]
        regions = at_least_float32(self.region_projection(x, parameters.get("region_projection")))
        for block in self.image_blocks:
            x = wrap(block)(x, parameters=parameters.get(block.name))  # ... -> [batch, 4, 4, 16 ch]
        pooled = tf.reduce_sum(tf.nn.relu(at_least_float32(x)), axis=[1, 2])  # [batch, 16 ch]

        sentence_features = at_least_float32(self.sentence_projection(sentences, parameters.get("sentence_projection")))
        logits = tf.squeeze(at_least_float32(self.to_logit(pooled, parameters.get("to_logit"))), axis=-1)
        logits += tf.reduce_sum(pooled * sentence_features, axis=-1)

        image_features = pooled
        for i, layer in enumerate(self.contrastive_head):
            h = image_features if i == 0 else tf.nn.relu(image_features)
            image_features = at_least_float32(layer(h, parameters.get(layer.name)))
        return DiscriminatorOutput(
            logits,
            image_features,
            sentence_features,
            tf.reshape(regions, [-1, regions.shape[1] * regions.shape[2], regions.shape[3]]),
        )
