"""What a run reads: training batches for its replicas, and the held-out captions that it looks at."""

from __future__ import annotations

import tensorflow as tf

from data_pipelines import input_pipeline
from data_pipelines.text_features import StoredText
from xmcgan.config import Config
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.training.update import Update
from xmcgan.training.validation import NUM_CAPTIONS


def distributed_batches(
    strategy: tf.distribute.Strategy,
    config: Config,
    data_dir: str,
    text_encoder: TextEncoder,
    step: int,
    stored_text: StoredText | None = None,
) -> tf.distribute.DistributedDataset:
    """Shares the training batches out to the replicas, from the first batch of an iteration on.

    The rows of a global batch go to the replicas in their order; a host reads the rows of its own replicas only.

    Args:
      strategy: the replicas.
      config: the experiment.
      data_dir: folder of all records.
      text_encoder: its tokens stand in for the captions.
      step: the iteration, from 0.
      stored_text: features of the training captions, to go out instead of tokens.

    Returns:
      Endless batches {'image': [batch / replicas, size, size, 3] uint8, tokens or the fields of `TextFeatures`...}.
    """

    def batches_of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batches = input_pipeline.training_batches(
            config.dataset,
            data_dir,
            batch_size=config.training.batch_size,
            image_size=config.data.image_size,
            random_flip=config.data.random_flip,
            seed=config.training.seed,
            start_batch=step * Update.batches_per_iteration(config),
            cache=config.data.cache,
            stored_text=stored_text,
            context=context,
        )
        # Strings stay on the host: what goes to the devices are tokens. One batch at a time, so that few are held.
        return batches.map(for_device).prefetch(1)

    def for_device(batch: input_pipeline.Batch | input_pipeline.EncodedBatch) -> dict[str, tf.Tensor]:
        text = batch.text._asdict() if stored_text else text_encoder.tokenize(batch.caption)
        return {"image": batch.image, **text}

    # A batch ahead of the step is copied to each device in any case (the default of tf.distribute.InputOptions).
    return strategy.distribute_datasets_from_function(batches_of_host)


def held_out_batches(config: Config, data_dir: str) -> tf.data.Dataset:
    """The captions of the validation split that a run looks at, with their images: a batch of NUM_CAPTIONS."""
    return input_pipeline.evaluation_batches(
        config.dataset,
        "validation",
        data_dir,
        batch_size=NUM_CAPTIONS,
        image_size=config.data.image_size,
        num_captions=NUM_CAPTIONS,
        seed=config.training.seed,
    )
