"""Reads Conceptual Captions (Sharma et al. 2018), or any folder of images with captions.

Google publishes only captions and URLs (Train_GCC-training.tsv: `caption<TAB>url`); users download the images with a
tool of their choice. Two layouts are supported:

  a folder of images, and a table `caption<TAB>file` with files relative to the folder;
  the folder that `img2dataset --output_format files` fills: 00000/000000123.jpg, its caption in 00000/000000123.txt.

Many of the URLs no longer work, so up to half of the images may be missing.
"""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from data_pipelines import image_files
from data_pipelines.images import square_image
from data_pipelines.input_pipeline import Batch
from eval.geometry import identify_geometry
from eval.retrieval.caption_pairs import MAX_HELD_OUT, CaptionPairs
from xmcgan import failures, text_files
from xmcgan.files import replaced

_MAX_UNFIT = 0.5
_LARGEST_HELD_OUT_SHARE = 0.1
_CHECKED_AT_ONCE = 4096
_LARGEST_MEMO = 1 << 30


class Pair(NamedTuple):
    """A caption and its image."""

    file: str  # Relative to the folder of the images.
    caption: str


class _Memo(TypedDict):
    """What `fit_pairs` remembers."""

    pairs: str  # Digest of the pairs.
    unfit: dict[str, str]  # Reasons by file.


class ConceptualCaptions(CaptionPairs):
    """Pairs that are kept in memory (about 100 bytes each), with images that are read from disk when needed.

    The held-out images are those whose file names have the lowest hashes, so they are the same in every run. All
    captions of a held-out image are held out.
    """

    def __init__(self, images: str | os.PathLike, pairs: Sequence[Pair], name: str = "CC", geometry: str = "squash"):
        """Splits the pairs.

        Args:
          images: folder of the images.
          pairs: pairs with usable images, see `fit_pairs`.
          name: name of the dual encoder in results.
          geometry: how images become square, see `data_pipelines.images.square_image`.

        Raises:
          ValueError: there are fewer than 20 images.
        """
        files = sorted({pair.file for pair in pairs}, key=_hash)
        num_held_out = min(MAX_HELD_OUT, int(len(files) * _LARGEST_HELD_OUT_SHARE))
        if num_held_out < 2:
            raise ValueError(f"{os.fspath(images)} has {len(files)} usable images: at least 20 are needed")
        held_out = frozenset(files[:num_held_out])
        self.name = name
        self.num_images = len(files) - num_held_out
        self.identity = {"pictures": self.num_images, "pairs": len(pairs), "sha256": digest(pairs)}
        self.identity.update(identify_geometry(geometry))
        self._geometry = geometry
        self._images = os.path.abspath(images)
        failures.add_explainer(self._images, _explain)
        self._training = [pair for pair in pairs if pair.file not in held_out]
        first = {pair.file: pair for pair in reversed(pairs) if pair.file in held_out}  # One caption for each image.
        self._held_out = [first[file] for file in files[:num_held_out]]

    def captions(self) -> tf.data.Dataset:
        """See `CaptionPairs.captions`."""
        return tf.data.Dataset.from_tensor_slices([pair.caption for pair in self._training])

    def training_batches(self, *, batch_size: int, image_size: int, seed: int, start_batch: int) -> tf.data.Dataset:
        """See `CaptionPairs.training_batches`."""
        first_epoch, place = divmod(start_batch * batch_size, len(self._training))

        def order(epoch: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.range(len(self._training), dtype=tf.int64)
            seeds = tf.stack([tf.constant(seed, tf.int64), epoch])
            return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(numbers, seeds))

        numbers = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(order).skip(place)
        return self._batches(self._training, numbers, batch_size, image_size)

    def held_out_batches(self, *, batch_size: int, image_size: int) -> tf.data.Dataset:
        """See `CaptionPairs.held_out_batches`."""
        return self._batches(self._held_out, tf.data.Dataset.range(len(self._held_out)), batch_size, image_size)

    def _batches(
        self, pairs: Sequence[Pair], numbers: tf.data.Dataset, batch_size: int, image_size: int
    ) -> tf.data.Dataset:
        files = tf.constant([os.fsencode(pair.file) for pair in pairs])  # Names need not be UTF-8.
        captions = tf.constant([pair.caption for pair in pairs])

        def read(file: bytes) -> np.ndarray:
            return image_files.read(os.path.join(self._images, os.fsdecode(file))).rgb

        def example(number: tf.Tensor) -> Batch:
            # Not stateful: otherwise tf.data would run it sequentially under enable_op_determinism.
            image = tf.numpy_function(read, [files[number]], tf.uint8, stateful=False)
            image = square_image(tf.ensure_shape(image, [None, None, 3]), image_size, self._geometry)
            return Batch(image, captions[number], files[number])

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        examples = numbers.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return examples.batch(batch_size).with_options(options).prefetch(2)


def read_pairs(images: str | os.PathLike, table: str | os.PathLike | None = None) -> list[Pair]:
    """Lists the pairs that there should be, without opening the images.

    Args:
      images: folder of the images.
      table: table of lines `caption<TAB>file`, in UTF-8; None for a folder of img2dataset, with captions beside images.

    Returns:
      The pairs. The log says how many images of a folder of img2dataset have no caption.

    Raises:
      FileNotFoundError: a path does not exist, or the folder has no files of img2dataset.
      ValueError: a line of the table has another form, or names a file outside of the folder; the message has its
        number.
    """
    if not os.path.isdir(images):
        raise FileNotFoundError(f"--pictures={os.fspath(images)}: there is no such folder")
    if table:
        pairs, where = list(_read_table(table)), f"--captions={os.fspath(table)}"
    else:
        pairs, where = _read_img2dataset(pathlib.Path(images)), f"--pictures={os.fspath(images)}"
    if not pairs:
        raise FileNotFoundError(
            f"{where} has no captions: pass a table of lines `caption<TAB>file` with --captions, "
            "or the folder of `img2dataset --output_format files` with --pictures"
        )
    return pairs


def fit_pairs(images: str | os.PathLike, pairs: Sequence[Pair], memo: str | os.PathLike) -> list[Pair]:
    """Leaves out the pairs whose image is missing, corrupt or not a JPEG file; decodes every image once.

    Args:
      images: folder of the images.
      pairs: pairs from `read_pairs`.
      memo: JSON file that caches the unusable files and the reasons, so that a later call for the same pairs does not
        decode the images again.

    Returns:
      The usable pairs, in the same order. The number of the others and the reasons are logged.

    Raises:
      ValueError: more than half of the images are unusable.
    """
    files = sorted({pair.file for pair in pairs})
    unfit = _read_memo(memo, digest(pairs))
    if unfit is None:
        unfit = _unfit_files(images, files)
        os.makedirs(os.path.dirname(memo), exist_ok=True)
        with replaced(memo) as file:
            json.dump({"pairs": digest(pairs), "unfit": unfit}, file)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in collections.Counter(unfit.values()).most_common())
    if len(unfit) > _MAX_UNFIT * len(files):
        raise ValueError(
            f"{len(unfit):,} of {len(files):,} images in {os.fspath(images)} are unusable ({reasons}): pass the "
            f"folder that the files are relative to, or download more of them; then remove {os.fspath(memo)}"
        )
    if unfit:
        logging.warning("%d of %d images are left out: %s; see %s", len(unfit), len(files), reasons, memo)
    return [pair for pair in pairs if pair.file not in unfit]


def digest(pairs: Sequence[Pair]) -> str:
    """Returns the SHA-256 of pairs in their order, in hexadecimal."""
    content = hashlib.sha256()
    for pair in pairs:
        content.update(f"{pair.file}\t{pair.caption}\n".encode("utf-8", "surrogateescape"))
    return content.hexdigest()


def _read_table(table: str | os.PathLike) -> Iterator[Pair]:
    for number, line in text_files.read_lines(table, newline="\n"):
        fields = [field.strip() for field in line.split("\t")]
        if fields == [""]:
            continue
        if len(fields) != 2 or not all(fields):
            raise ValueError(f"{table}: line {number} is not `caption<TAB>file`: {line.strip()[:80]!r}")
        if "://" in fields[1]:
            raise ValueError(
                f"{table}: line {number} has a URL, not a file: download the images first, for example with "
                "img2dataset --output_format files, and pass its folder with --pictures, without --captions"
            )
        if not image_files.stays_within(fields[1]):
            raise ValueError(
                f"{table}: line {number} names a file outside of the folder: write names relative to --pictures, "
                f"not {fields[1][:80]!r}"
            )
        yield Pair(file=fields[1], caption=" ".join(fields[0].split()))


def _read_img2dataset(folder: pathlib.Path) -> list[Pair]:
    pairs, num_others = [], 0
    captions_left_out: collections.Counter[str] = collections.Counter()
    for entry in sorted(folder.iterdir()):
        if not (entry.is_dir() and entry.name.isdigit()):
            num_others += entry.name.lower().endswith(image_files.ENDINGS)
            continue
        for image in sorted(entry.iterdir()):
            if not image.name.lower().endswith(image_files.ENDINGS) or image.name.startswith("."):
                continue
            caption, reason = _caption_beside(image)
            if caption:
                pairs.append(Pair(f"{entry.name}/{image.name}", caption))
            else:
                captions_left_out[reason] += 1
    if num_others:
        captions_left_out["outside of img2dataset's numbered folders"] = num_others
    if captions_left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in captions_left_out.most_common())
        logging.warning("%s: %d images are taken; passed over: %s", folder, len(pairs), reasons)
    return pairs


def _caption_beside(image: pathlib.Path) -> tuple[str, str]:
    """Returns the caption in the text file beside an image, or '' and what is wrong with it."""
    try:
        caption = " ".join(text_files.read_text(image.with_suffix(".txt")).split())
    except FileNotFoundError:
        return "", "without a .txt file"
    except ValueError:
        return "", "with a .txt file that cannot be read"
    return caption, "with an empty .txt file"


def _unfit_files(images: str | os.PathLike, files: Sequence[str]) -> dict[str, str]:
    """Decodes all files; returns a dict from each unusable file to the reason."""

    def reason(file: str) -> str | None:
        try:
            image_files.encoded_for_records(image_files.read_bytes(os.path.join(images, file)))
        except ValueError as error:
            return str(error)
        return None

    unfit = {}
    bar = tqdm.tqdm(total=len(files), desc="checking images", unit="image", disable=None, dynamic_ncols=True)
    with concurrent.futures.ThreadPoolExecutor() as pool, bar:
        for start in range(0, len(files), _CHECKED_AT_ONCE):  # Otherwise the pool would queue millions of files.
            part = files[start : start + _CHECKED_AT_ONCE]
            unfit.update({file: why for file, why in zip(part, pool.map(reason, part)) if why})
            bar.update(len(part))
    return unfit


def _read_memo(memo: str | os.PathLike, pairs_digest: str) -> dict[str, str] | None:
    """Returns what an earlier call found for the same pairs, if any; a damaged memo is made again."""
    try:
        found: _Memo = text_files.read_json(memo, _Memo, max_bytes=_LARGEST_MEMO)
    except (FileNotFoundError, ValueError):
        return None
    return found["unfit"] if found["pairs"] == pairs_digest else None


def _explain(error: Exception) -> str | None:
    """Finds our own words in TensorFlow's error about an image that was damaged or removed during training."""
    found = re.search(r"ValueError: (.* cannot be used \(.*\): .*)", str(error))
    return found[1] if found else None


def _hash(file: str) -> bytes:
    return hashlib.sha256(os.fsencode(file)).digest()
