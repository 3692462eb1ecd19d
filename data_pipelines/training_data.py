"""The data of a training run: batches for its replicas, and the held-out captions of its validation."""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from data_pipelines import input_pipeline, text_feature_files
from data_pipelines.text_features import StoredText
from xmcgan.config import Config
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.training.validation import NUM_CAPTIONS


class TrainingData:
    """The records of a run's dataset, in the form that `xmcgan.training.loop.train` expects.

    Attributes:
      num_examples: number of training images.
    """

    def __init__(self, config: Config, data_dir: str | os.PathLike):
        """Opens the records.

        Args:
          config: the experiment.
          data_dir: folder of all records.

        Raises:
          FileNotFoundError: the dataset has not been converted.
        """
        self._config = config
        self._data_dir = data_dir
        self.num_examples = input_pipeline.num_examples(config.dataset, "train", data_dir)

    def check_stored_text(self) -> None:
        """Checks stored text features, if the config asks for them; call it after the text encoder has been loaded.

        Raises:
          FileNotFoundError, ValueError: there are no features, or they do not match the experiment.
        """
        _ = self._stored_text

    @tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to convert here, but takes a second.
    def batches(
        self, strategy: tf.distribute.Strategy, text_encoder: TextEncoder, step: int
    ) -> tf.distribute.DistributedDataset:
        """Distributes the training batches to the replicas, starting with the first batch of an iteration.

        The examples of a global batch go to the replicas in order. A host reads only those of its own replicas.

        Args:
          strategy: the replicas.
          text_encoder: tokenizes the captions.
          step: number of the iteration, from 0.

        Returns:
          Endless batches {'image': [batch / replicas, size, size, 3] uint8, ...}. The other entries are the tokens, or
          the fields of `TextFeatures` if the features are precomputed.

        Raises:
          FileNotFoundError, ValueError: see `check_stored_text`.
        """
        config, stored_text = self._config, self._stored_text

        def batches_of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            batches = input_pipeline.training_batches(
                config.dataset,
                self._data_dir,
                batch_size=config.training.batch_size,
                image_size=config.data.image_size,
                geometry=config.data.geometry,
                random_flip=config.data.random_flip,
                seed=config.training.seed,
                start_batch=step * config.training.batches_per_iteration,
                cache=config.data.cache,
                stored_text=stored_text,
                context=context,
            )
            # Devices cannot hold strings, so captions are tokenized on the host. Only one batch is
            # prefetched, to save memory.
            return batches.map(for_device).prefetch(1)

        def for_device(batch: input_pipeline.Batch | input_pipeline.EncodedBatch) -> dict[str, tf.Tensor]:
            if isinstance(batch, input_pipeline.EncodedBatch):
                return {"image": batch.image, **batch.text._asdict()}
            return {"image": batch.image, **text_encoder.tokenize(batch.caption)}

        # By default, tf.distribute.InputOptions also prefetches one batch to each device.
        return strategy.distribute_datasets_from_function(batches_of_host)

    @tf.autograph.experimental.do_not_convert
    def held_out(self) -> tf.data.Dataset:
        """Returns one batch of NUM_CAPTIONS captions of the validation split, with their images."""
        return input_pipeline.evaluation_batches(
            self._config.dataset,
            "validation",
            self._data_dir,
            batch_size=NUM_CAPTIONS,
            image_size=self._config.data.image_size,
            geometry=self._config.data.geometry,
            num_captions=NUM_CAPTIONS,
            seed=self._config.training.seed,
        )

    @functools.cached_property
    def _stored_text(self) -> StoredText | None:
        """Stored features of the training captions; loaded on first use, after the text encoder."""
        return text_feature_files.load(self._config, self._data_dir) if self._config.text.precomputed else None
