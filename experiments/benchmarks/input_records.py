"""Records of any number of images for the input benchmark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import record_index, records

DATASET = "coco2014"
_IMAGES_IN_FILE = 1_000


def write(data_dir: str, jpegs: Sequence[bytes], num_images: int) -> None:
    """Writes a dataset as a conversion would, with `jpegs` over and over.

    Raises:
      ValueError: the disk is too small for it.
    """
    needed = 1.02 * num_images * sum(map(len, jpegs)) / len(jpegs)
    free = shutil.disk_usage(data_dir).free
    if needed > free:
        raise ValueError(
            f"{num_images} images need {needed / 1e9:.1f} GB, and {data_dir} has {free / 1e9:.1f} GB left: "
            "name another disk by --scratch, or take fewer --num_pictures"
        )
    features = records.features()
    serialized = []
    for number, jpeg in enumerate(jpegs):
        captions = [f"caption {i} of an image" for i in range(5)]
        record = records.Record(jpeg, str(number), f"{number}.jpg", captions, labels=[])
        serialized.append(features.serialize_example(features.encode_example(records.to_example(record))))

    folder = os.fspath(records.directory(DATASET, data_dir))
    os.makedirs(folder)
    first = range(0, num_images, _IMAGES_IN_FILE)
    names = [f"{DATASET}-train.tfrecord-{i:05d}-of-{len(first):05d}" for i in range(len(first))]
    lengths = [min(_IMAGES_IN_FILE, num_images - start) for start in first]
    for name, start, length in zip(names, first, lengths):
        with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
            for number in range(start, start + length):
                writer.write(serialized[number % len(serialized)])
    split = tfds.core.SplitInfo(name="train", shard_lengths=lengths, num_bytes=0)
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=[split], check_data=False)
    record_index.write(folder, "train", names)
