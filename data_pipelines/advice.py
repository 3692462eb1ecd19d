"""What the config of an experiment should be for a user's own images and captions, found by measuring the records."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from etils import epath

from data_pipelines import records
from data_pipelines.images import stored_size
from data_pipelines.inspection.histograms import Histogram
from data_pipelines.inspection.tokens import TokenCounter
from data_pipelines.own_datasets import Advice
from xmcgan.config import IMAGE_SIZES, Config
from xmcgan.models import hub_files

# The records are in random order, so as many of them as this represent all.
_SAMPLED_RECORDS = 20_000
_BATCH = 256
# Largest share of captions that the text length cuts, and the longest input of BERT.
_CUT_PERCENT, _MAX_TEXT_LENGTH = 2, 512
# Flips are off where at least this share of the captions speaks of left or right.
_SIDED_SHARE = 0.01
_SIDED = re.compile(
    r"\b(left|right)(most|ward|wards)\b|\b(left|right)[- ]?(hand|side|corner|foreground|background|half|edge|of)\b"
    r"|\b(on|to|at|in|from|towards?) (the|his|her|its|their) (\w+ )?(left|right)\b"
)
# Tokens that BERT makes of a caption at least: its words and its marks of punctuation.
_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")
_SPECIAL_TOKENS = 2
# A batch has at most this share of the training images. Its other images serve as negatives, and in a larger batch
# of a small dataset they would be the same ones in every step.
_BATCH_SHARE = 1 / 8
_BATCH_SIZES = (16, 32, 64, 128, 256)
# Few images need more passes than the paper's 1000, because a GAN needs some number of steps to draw anything.
_LEAST_STEPS = 20_000
_STEPS_PER_CALL = 50


class _Measured(NamedTuple):
    """Measurements of a sample of the training records."""

    sides: Histogram[int]  # The shorter side of each image, in pixels.
    lengths: Histogram[int]  # The tokens of each caption, or their least number.
    num_sided: int  # Captions that speak of left or right.


class Lengths(NamedTuple):
    """How the lengths of captions are counted."""

    counter: TokenCounter | None  # None to count words and marks of punctuation.
    name: str  # What is counted, for the user.


def lengths_by(text_preprocessor: str = "") -> Lengths:
    """Returns how to count the lengths of captions.

    Args:
      text_preprocessor: TF-Hub handle, or folder of a SavedModel, that makes tokens. If empty, the default text
        preprocessor is used if it is in TF Hub's cache.

    Raises:
      FileNotFoundError, ValueError: see `TokenCounter`.
    """
    if text_preprocessor:
        return Lengths(TokenCounter(text_preprocessor, "--text_preprocessor"), f"tokens of {text_preprocessor}")
    default = Config().text.preprocessor
    if hub_files.is_fetched(default):
        return Lengths(TokenCounter(default), "tokens of the default text encoder")
    return Lengths(None, "words and marks; rare words are several tokens: count those with --text_preprocessor")


def advise(files: Sequence[epath.Path], num_train: int, num_validation: int, lengths_by: Lengths) -> tuple[Advice, ...]:
    """Measures the training records, and returns the fields of the config that should follow from them.

    Args:
      files: the TFRecord files of the training images.
      num_train: number of training images.
      num_validation: number of validation images.
      lengths_by: how to count the lengths of captions.

    Returns:
      The fields with their values and reasons, in the order of the config.
    """
    measured = _measure(files, lengths_by.counter)
    return (
        _image_size(measured.sides),
        _text_length(measured.lengths, lengths_by.name),
        _random_flip(measured.num_sided / measured.lengths.size),
        *_training(num_train),
        *_evaluation(num_validation),
    )


def first_caption(files: Sequence[epath.Path]) -> str:
    """Returns a caption of the first record."""
    record = records.parse(next(iter(tf.data.TFRecordDataset(list(map(os.fspath, files))))))
    return tf.convert_to_tensor(record.captions)[0].numpy().decode()


def _measure(files: Sequence[epath.Path], counter: TokenCounter | None) -> _Measured:
    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized)
        return tf.reduce_min(stored_size(record.image)), record.captions

    dataset = tf.data.TFRecordDataset(list(map(os.fspath, files))).take(_SAMPLED_RECORDS)
    batches = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE).ragged_batch(_BATCH)
    sides: Histogram[int] = Histogram()
    lengths: Histogram[int] = Histogram()
    num_sided = 0
    for side, captions in batches:
        sides.add_values(side.numpy())
        texts = [caption.decode() for caption in captions.flat_values.numpy()]
        num_sided += sum(bool(_SIDED.search(text.lower())) for text in texts)
        if counter is None:
            lengths.update(len(_WORD_OR_MARK.findall(text)) + _SPECIAL_TOKENS for text in texts)
        else:
            lengths.add_values(counter.count(captions.flat_values).numpy())
    return _Measured(sides, lengths, num_sided)


def _image_size(sides: Histogram[int]) -> Advice:
    median = sides.percentile(50)
    size = max((size for size in IMAGE_SIZES if size <= median), default=min(IMAGE_SIZES))
    return Advice("data.image_size", size, f"half of the images have a shorter side of {median} px or more")


def _text_length(lengths: Histogram[int], how: str) -> Advice:
    length = min(max(lengths.percentile(100 - _CUT_PERCENT), 3), _MAX_TEXT_LENGTH)
    return Advice("data.text_length", length, f"cuts {lengths.share_above(length):.1%} of the captions, by {how}")


def _random_flip(share: float) -> Advice:
    return Advice("data.random_flip", share < _SIDED_SHARE, f"{share:.1%} of the captions speak of left or right")


def _training(num_images: int) -> tuple[Advice, Advice]:
    batch = max((size for size in _BATCH_SIZES if size <= _BATCH_SHARE * num_images), default=min(_BATCH_SIZES))
    paper = Config().with_fields({"training.batch_size": batch}).training
    steps = max(_LEAST_STEPS, -(-paper.steps(num_images) // _STEPS_PER_CALL) * _STEPS_PER_CALL)
    passes = steps * paper.images_per_iteration / num_images
    return (
        Advice("training.batch_size", batch, f"at most an eighth of the {num_images:,} training images"),
        Advice(
            "training.num_steps", steps, f"{passes:,.0f} passes over them; watch samples/ and stop when you like them"
        ),
    )


def _evaluation(num_images: int) -> list[Advice]:
    """Returns the options of the metrics that a small validation split needs."""
    paper = Config().evaluation
    found = []
    if num_images < paper.num_samples:
        reason = f"the {num_images:,} validation images, each once"
        found.append(Advice("evaluation.num_samples", max(num_images, 2), reason))
    if num_images < paper.kernel_subset_size:
        found.append(Advice("evaluation.kernel_subset_size", max(num_images // 2, 2), "half of them"))
    if num_images <= paper.mismatches:
        found.append(Advice("evaluation.mismatches", max(num_images - 1, 1), "all others of them"))
    return found
