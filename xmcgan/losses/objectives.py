"""The total losses of D and G (Algorithm 1, lines 5 to 8 and 12 to 16): weighted sums of the losses that are on.

A loss whose weight is 0 is not computed. Every function sees one replica's part of the batch and returns the loss
of the whole batch. The gradient of that loss on a replica is the replica's own contribution times the number of
replicas.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.config import LossConfig
from xmcgan.losses.contrastive import (
    ContrastiveLoss,
    cosine_scores,
    hinge_discriminator_loss,
    hinge_generator_loss,
    info_nce,
    perceptual_loss,
)
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.replicas import gather


class Objective(NamedTuple):
    """A total loss, and the metrics of its terms."""

    loss: tf.Tensor  # Scalar
    metrics: dict[str, tf.Tensor]  # Scalars by name


class Objectives:
    """The total losses of D and G in one experiment."""

    def __init__(self, options: LossConfig, static_shapes: bool = False):
        """Makes the objectives.

        Args:
          options: weights and constants of the losses.
          static_shapes: whether all shapes must be static, as XLA requires.
        """
        self._options = options
        self._static_shapes = static_shapes

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput, text: TextFeatures) -> Objective:
        """Computes L_D: the hinge loss, and contrastive losses on the real images alone (section 4.3)."""
        options = self._options
        loss = hinge_discriminator_loss(real.logits, fake.logits)
        metrics = {
            "hinge": loss,
            "real_logit": tf.reduce_mean(real.logits),
            "fake_logit": tf.reduce_mean(fake.logits),
        }
        if options.discriminator_sentence:
            loss += options.discriminator_sentence * _log(metrics, "sentence", self._sentence(real))
        if options.discriminator_word:
            loss += options.discriminator_word * _log(metrics, "word", self._word(real, text))
        return Objective(loss, {"loss": loss, **metrics})

    def generator(
        self,
        real: DiscriminatorOutput | None,
        fake: DiscriminatorOutput,
        text: TextFeatures,
        real_encoding: tf.Tensor | None = None,
        fake_encoding: tf.Tensor | None = None,
    ) -> Objective:
        """Computes L_G on generated images; each of them matches the real image of the same caption.

        Args:
          real: D's output on real images; needed only by the image loss.
          fake: D's output on generated images.
          text: features of their captions.
          real_encoding: the image encoder's features of the real images, [batch, dim]; needed only by the losses
            that use the image encoder.
          fake_encoding: the image encoder's features of the generated images, [batch, dim].
        """
        options = self._options
        loss = hinge_generator_loss(fake.logits)
        metrics = {"hinge": loss}
        if options.generator_sentence:
            loss += options.generator_sentence * _log(metrics, "sentence", self._sentence(fake))
        if options.generator_word:
            loss += options.generator_word * _log(metrics, "word", self._word(fake, text))
        if options.generator_image:
            assert real is not None, "a loss that needs it belongs in Config.uses_real_features"
            scores = self._image(real.image_features, fake.image_features)
            loss += options.generator_image * _log(metrics, "image", scores)
        if options.generator_image_encoder:
            scores = self._image(real_encoding, fake_encoding)
            loss += options.generator_image_encoder * _log(metrics, "image_encoder", scores)
        if options.generator_perceptual:
            metrics["perceptual_loss"] = perceptual_loss(real_encoding, fake_encoding)
            loss += options.generator_perceptual * metrics["perceptual_loss"]
        return Objective(loss, {"loss": loss, **metrics})

    def _gather(self, x: tf.Tensor) -> tf.Tensor:
        return gather(x) if self._options.negatives == "global" else x

    def _info_nce(self, scores: tf.Tensor, temperature: float) -> ContrastiveLoss:
        return info_nce(scores, temperature=temperature, both_directions=self._options.direction == "both")

    def _sentence(self, output: DiscriminatorOutput) -> ContrastiveLoss:
        images, sentences = self._gather(output.image_features), self._gather(output.sentence_features)
        return self._info_nce(cosine_scores(images, sentences), self._options.temperature)

    def _image(self, real: tf.Tensor, fake: tf.Tensor) -> ContrastiveLoss:
        scores = cosine_scores(self._gather(tf.stop_gradient(real)), self._gather(fake))
        return self._info_nce(scores, self._options.temperature)

    def _word(self, output: DiscriminatorOutput, text: TextFeatures) -> ContrastiveLoss:
        # Each replica scores its own images with all sentences. Only the words are gathered, which carry no gradient;
        # the regions stay on their replica.
        scores = word_region_scores(
            output.region_features,
            self._gather(text.words),
            self._gather(text.lengths),
            rho_1=self._options.rho_1,
            rho_2=self._options.rho_2,
            normalize_context=self._options.context_regions == "normalized",
            chunk=self._options.word_chunk,
            trim=not self._static_shapes,
        )
        return self._info_nce(self._gather(scores), self._options.word_temperature)


def _log(metrics: dict[str, tf.Tensor], name: str, result: ContrastiveLoss) -> tf.Tensor:
    """Adds a contrastive loss to the metrics, and returns the loss."""
    metrics[f"{name}_loss"] = result.loss
    metrics[f"{name}_accuracy"] = result.accuracy
    metrics[f"{name}_entropy"] = result.entropy
    return result.loss
