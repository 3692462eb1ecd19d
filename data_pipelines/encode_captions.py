"""Runs the text encoder over all captions of a split, once, and stores what it gives beside the records."""

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

# Images whose captions are encoded at once.
_IMAGES = 64
# Images that the disk space needed is estimated from, and its ratio to theirs.
_SAMPLED_IMAGES, _ROOM = 1024, 1.1


def encode_captions(config: Config, data_dir: str | os.PathLike, encoder: TextEncoder, split: str = "train") -> bool:
    """Stores the features of all captions of a split; does nothing if that has been done.

    What a killed run has finished stays: the next one goes on with the files that are missing.

    Args:
      config: the experiment.
      data_dir: folder of all records.
      encoder: of the experiment.
      split: of the dataset.

    Returns:
      Whether there was anything to do.

    Raises:
      FileNotFoundError: the dataset has not been converted.
      ValueError: float16 cannot hold a feature.
      OSError: the disk has not enough room.
    """
    identity = text_feature_files.identify(config, data_dir)
    info = records.open_dataset(config.dataset, data_dir).info.splits[split]
    target = text_feature_files.folder(config.dataset, data_dir, identity)
    with prepare.alone(config.dataset, data_dir):  # A second process waits, and then finds the work done.
        if text_feature_files.is_whole(config.dataset, data_dir, identity, split):
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


def _encode_files(sources: Sequence[epath.Path], target: epath.Path, encoder: TextEncoder, progress: tqdm.tqdm) -> None:
    """Makes a file of features of each file of records."""

    @tf.function(reduce_retracing=True)
    def encode(tokens: dict[str, tf.Tensor]) -> TextFeatures:
        text = encoder.encode(tokens)
        return text._replace(sentence=tf.cast(text.sentence, tf.float16), words=tf.cast(text.words, tf.float16))

    start, num_captions, num_bytes = time.perf_counter(), 0, 0
    for source in sources:
        with (
            temporary_path(target / source.name) as temporary,
            tf.io.TFRecordWriter(os.fspath(temporary)) as writer,
        ):
            for text in _texts(source, encoder, encode):
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


def _texts(source: epath.Path, encoder: TextEncoder, encode: Callable) -> Iterator[ImageText]:
    """The features of the images of a file, in their order."""
    for image_ids, captions, tokens in _tokenized(source, encoder):
        sentences, words, lengths = (tensor.numpy() for tensor in encode(tokens))  # Of all captions of all images.
        words = words[np.arange(words.shape[1]) < lengths[:, np.newaxis]]  # [sum of lengths, dim], without padding
        ends = captions.row_splits.numpy()[1:-1]
        word_ends = np.cumsum(lengths)[ends - 1]
        parts = (
            [image_id.decode() for image_id in image_ids.numpy()],
            captions.to_list(),
            np.split(sentences, ends),
            np.split(words, word_ends),
            np.split(lengths, ends),
        )
        yield from map(ImageText, *parts)


def _tokenized(source: epath.Path, encoder: TextEncoder) -> tf.data.Dataset:
    """Image ids [images], captions [images, (captions)] and tokens [all captions, text_length] of some images."""

    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized)
        return record.image_id, record.captions

    def tokenize(image_ids: tf.Tensor, captions: tf.RaggedTensor) -> tuple[tf.Tensor, tf.RaggedTensor, dict]:
        return image_ids, captions, encoder.tokenize(captions.flat_values)

    dataset = tf.data.TFRecordDataset(os.fspath(source)).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.ragged_batch(_IMAGES).map(tokenize, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _check_room(target: epath.Path, sources: Sequence[epath.Path], num_images: int, encoder: TextEncoder) -> None:
    """Refuses to begin what the disk cannot hold; the first images stand for all of them."""
    if "://" in os.fspath(target) or not num_images:
        return
    num_sampled, rows = 0, 0
    for image_ids, captions, tokens in _tokenized(sources[0], encoder).take(_SAMPLED_IMAGES // _IMAGES):
        num_sampled += image_ids.shape[0]
        rows += captions.flat_values.shape[0] + int(tf.reduce_sum(tokens["input_mask"]))  # Sentences and words.
    needed = _ROOM * np.dtype(np.float16).itemsize * encoder.dim * rows / num_sampled * num_images
    check_room(target, needed, f"store the text features of {num_images} images")
