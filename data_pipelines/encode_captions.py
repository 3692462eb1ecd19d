"""Encodes all captions of a split with the frozen text encoder and stores the features beside the records."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Callable

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging
from etils import epath

from data_pipelines import prepare, records, text_feature_files, text_features
from data_pipelines.text_features import ImageText
from xmcgan.config import Config
from xmcgan.files import check_room, remove_temporary, temporary_path
from xmcgan.models.text_encoder import TextEncoder, TextFeatures

# Number of images whose captions are encoded together.
_BATCH_SIZE = 64
# The disk space needed is estimated from this many images. The estimate is multiplied by this factor to be safe.
_SAMPLED_IMAGES, _SPACE_FACTOR = 1024, 1.1


def encode_captions(config: Config, data_dir: str | os.PathLike, encoder: TextEncoder, split: str = "train") -> bool:
    """Stores the features of all captions of a split, unless they are stored already.

    The files that an interrupted run has finished are kept, and the next run writes only the missing ones.

    Args:
      config: the experiment.
      data_dir: folder of all records.
      encoder: text encoder of the experiment.
      split: split of the dataset.

    Returns:
      Whether anything had to be encoded.

    Raises:
      FileNotFoundError: the dataset has not been converted.
      ValueError: a feature is out of float16's range.
      OSError: the disk does not have enough free space.
    """
    identity = text_feature_files.identify(config, data_dir)
    info = records.open_dataset(config.dataset, data_dir).info.splits[split]
    target = text_feature_files.folder(config.dataset, data_dir, identity)
    if text_feature_files.is_complete(config.dataset, data_dir, identity, split):  # Perhaps on a read-only disk.
        return False
    with prepare.lock_dataset(config.dataset, data_dir):  # A second process waits here, and then finds the features.
        if text_feature_files.is_complete(config.dataset, data_dir, identity, split):
            return False
        target.mkdir(parents=True, exist_ok=True)
        remove_temporary(target)
        lengths = {epath.Path(path): length for path, length in zip(info.filepaths, info.shard_lengths)}
        missing = [path for path in lengths if not (target / path.name).exists()]
        num_left = sum(lengths[path] for path in missing)
        _check_room(target, missing, num_left, encoder)
        progress = tqdm.tqdm(
            total=info.num_examples,
            initial=info.num_examples - num_left,
            desc=f"encoding the captions of {split}",
            unit="image",
            disable=None,
            dynamic_ncols=True,
        )
        with progress:
            _encode_files(missing, target, encoder, progress)
        text_feature_files.finish(config, data_dir, identity, split, encoder.dim)
    return True


def _encode_files(
    record_files: Sequence[epath.Path], target: epath.Path, encoder: TextEncoder, progress: tqdm.tqdm
) -> None:
    """Writes one file of features for each file of records."""

    @tf.function(autograph=False, reduce_retracing=True)
    def encode(tokens: dict[str, tf.Tensor]) -> TextFeatures:
        text = encoder.encode(tokens)
        return text._replace(sentence=tf.cast(text.sentence, tf.float16), words=tf.cast(text.words, tf.float16))

    start, num_captions, num_bytes = time.perf_counter(), 0, 0
    for record_file in record_files:
        with (
            temporary_path(target / record_file.name) as temporary,
            tf.io.TFRecordWriter(os.fspath(temporary)) as writer,
        ):
            for text in _encode_file(record_file, encoder, encode):
                serialized = text_features.serialize(text)
                writer.write(serialized)
                num_captions, num_bytes = num_captions + len(text.captions), num_bytes + len(serialized)
                rate = num_captions / (time.perf_counter() - start)
                progress.set_postfix_str(f"{rate:,.0f} captions/s", refresh=False)
                progress.update()
    seconds = time.perf_counter() - start
    if num_captions:
        logging.info(
            "%s captions in %.0f s (%s a second), %.1f kB each",
            f"{num_captions:,}",
            seconds,
            f"{num_captions / seconds:,.0f}",
            num_bytes / num_captions / 1000,
        )


def _encode_file(record_file: epath.Path, encoder: TextEncoder, encode: Callable) -> Iterator[ImageText]:
    """Yields the text features of each image of a file, in the order of its records."""
    for image_ids, captions, tokens in _tokenized(record_file, encoder):
        # [captions, dim], [captions, text_length, dim] and [captions], over the captions of all images in the batch.
        sentences, words, lengths = (tensor.numpy() for tensor in encode(tokens))
        words = words[np.arange(words.shape[1]) < lengths[:, np.newaxis]]  # [sum of lengths, dim], without padding
        ends = captions.row_splits.numpy()[1:-1]
        word_ends = np.cumsum(lengths)[ends - 1]
        yield from map(
            ImageText,
            [image_id.decode() for image_id in image_ids.numpy()],
            captions.to_list(),
            np.split(sentences, ends),
            np.split(words, word_ends),
            np.split(lengths, ends),
        )


def _tokenized(record_file: epath.Path, encoder: TextEncoder) -> tf.data.Dataset:
    """Returns batches of image ids [images], captions [images, (captions)] and tokens [all captions, text_length]."""

    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized)
        return record.image_id, record.captions

    def tokenize(image_ids: tf.Tensor, captions: tf.RaggedTensor) -> tuple[tf.Tensor, tf.RaggedTensor, dict]:
        return image_ids, captions, encoder.tokenize(captions.flat_values)

    dataset = tf.data.TFRecordDataset(os.fspath(record_file)).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return (
        dataset.ragged_batch(_BATCH_SIZE).map(tokenize, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    )


def _check_room(target: epath.Path, record_files: Sequence[epath.Path], num_images: int, encoder: TextEncoder) -> None:
    """Raises OSError if the features would not fit on the disk; their size is estimated from the first images."""
    if "://" in os.fspath(target) or not num_images:
        return
    num_sampled, num_vectors = 0, 0
    for image_ids, captions, tokens in _tokenized(record_files[0], encoder).take(_SAMPLED_IMAGES // _BATCH_SIZE):
        num_sampled += image_ids.shape[0]
        num_vectors += captions.flat_values.shape[0] + int(tf.reduce_sum(tokens["input_mask"]))  # Sentences and words.
    needed = _SPACE_FACTOR * np.dtype(np.float16).itemsize * encoder.dim * num_vectors / num_sampled * num_images
    check_room(target, needed, f"store the text features of {num_images} images")
