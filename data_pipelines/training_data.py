"""What a run trains on: batches for its replicas, and the held-out captions that it looks at."""

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
    """The records of a run's dataset, as `xmcgan.training.loop.train` takes them.

    Attributes:
      num_examples: training images.
    """

    def __init__(self, config: Config, data_dir: str | os.PathLike):
        """Finds the records.

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
        """Refuses stored text features that are not there, or another encoder's; the encoder has been loaded.

        Raises:
          FileNotFoundError, ValueError: text features are to be read, and there are none, or those of another encoder.
        """
        _ = self._stored_text

    @tf.autograph.experimental.do_not_convert  # Nothing in there needs it, and it takes a second.
    def batches(
        self, strategy: tf.distribute.Strategy, text_encoder: TextEncoder, step: int
    ) -> tf.distribute.DistributedDataset:
        """Shares the training batches out to the replicas, from the first batch of an iteration on.

        The rows of a global batch go to the replicas in their order; a host reads the rows of its own replicas only.

        Args:
          strategy: the replicas.
          text_encoder: its tokens stand in for the captions.
          step: the iteration, from 0.

        Returns:
          Endless batches {'image': [batch / replicas, size, size, 3] uint8, tokens or the fields of `TextFeatures`...}.

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
                random_flip=config.data.random_flip,
                seed=config.training.seed,
                start_batch=step * config.training.batches_per_iteration,
                cache=config.data.cache,
                stored_text=stored_text,
                context=context,
            )
            # Strings stay on the host: what goes to the devices are tokens. One batch at a time, so that few are held.
            return batches.map(for_device).prefetch(1)

        def for_device(batch: input_pipeline.Batch | input_pipeline.EncodedBatch) -> dict[str, tf.Tensor]:
            if isinstance(batch, input_pipeline.EncodedBatch):
                return {"image": batch.image, **batch.text._asdict()}
            return {"image": batch.image, **text_encoder.tokenize(batch.caption)}

        # A batch ahead of the step is copied to each device in any case (the default of tf.distribute.InputOptions).
        return strategy.distribute_datasets_from_function(batches_of_host)

    @tf.autograph.experimental.do_not_convert
    def held_out(self) -> tf.data.Dataset:
        """The captions of the validation split that a run looks at, with their images: a batch of NUM_CAPTIONS."""
        return input_pipeline.evaluation_batches(
            self._config.dataset,
            "validation",
            self._data_dir,
            batch_size=NUM_CAPTIONS,
            image_size=self._config.data.image_size,
            num_captions=NUM_CAPTIONS,
            seed=self._config.training.seed,
        )

    @functools.cached_property
    def _stored_text(self) -> StoredText | None:
        """Stored features of the training captions; read only now, when their text encoder has been loaded."""
        return text_feature_files.load(self._config, self._data_dir) if self._config.text.precomputed else None
