"""R-precision: is an image closer to its own caption than to others (Xu et al. 2018; paper section 5.2)?

The true caption competes with mismatched ones (usually 99). An image counts if its true caption is the closest (R = 1).
"""

from __future__ import annotations

import typing

import numpy as np

from eval.metrics.checks import check_rows
from eval.score import Estimate

_TIE = 1e-6  # Cosines that differ by less count as equal: float32 embeddings are no more precise.
_NUMBERS_AT_ONCE = 2**22  # Float64 numbers of the mismatches' embeddings in memory: 32 MB.


def draw_mismatches(
    image_ids: typing.Sequence[typing.Hashable], captions: typing.Sequence[str], *, num: int, seed: int
) -> np.ndarray:
    """Draws mismatched captions for each caption.

    The captions of the same image are never drawn, nor are captions of other images that have the same words as one of
    them (case and spaces are ignored). Each row is a uniform draw of distinct texts: no text appears twice in it, and a
    text that the list contains several times is no more likely than others.

    Args:
      image_ids: `n` ids of the images that the captions were written for.
      captions: `n` captions, in the same order.
      num: number of mismatches for each caption.
      seed: seed of the draws; the same list and seed give the same mismatches.

    Returns:
      `[n, num]` int64, indices into `captions`.

    Raises:
      ValueError: some caption has fewer than `num` possible mismatches.
    """
    if len(image_ids) != len(captions) or not len(captions):
        raise ValueError(f"{len(image_ids)} image ids for {len(captions)} captions")
    if num < 1:
        raise ValueError(f"{num} mismatches: there must be at least 1")
    text = _number(" ".join(caption.split()).casefold() for caption in captions)  # [n]
    image = _number(image_ids)  # [n]
    _, position_of_text = np.unique(text, return_index=True)  # [texts]
    own_texts, num_own = _texts_by_image(image, text, num_texts=len(position_of_text))
    num_possible = len(position_of_text) - num_own[image]  # [n]
    worst = int(np.argmin(num_possible))
    if num_possible[worst] < num:
        raise ValueError(
            f"the caption '{captions[worst]}' has {num_possible[worst]} possible mismatches among {len(captions)} "
            f"captions, and {num} are wanted: lower --mismatches, or evaluate more captions"
        )
    drawn = _draw_distinct(num_possible, num, np.random.default_rng(seed))  # [n, num]: indices that skip the own texts
    # Turn them into indices of all texts by stepping over each image's own texts, from the first to the last.
    for own in own_texts[image].T:
        drawn += drawn >= own[:, np.newaxis]
    return position_of_text[drawn]


def _number(items: typing.Iterable[typing.Hashable]) -> np.ndarray:
    """Numbers distinct items from 0, in the order of their first appearance: `[n]`."""
    numbers: dict[typing.Hashable, int] = {}
    return np.array([numbers.setdefault(item, len(numbers)) for item in items])


def _texts_by_image(image: np.ndarray, text: np.ndarray, *, num_texts: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns each image's distinct texts, ascending, padded with `num_texts`, `[images, most]`; and their counts."""
    pairs = np.unique(np.stack([image, text], axis=1), axis=0)  # Sorted by image, then by text.
    num_own = np.bincount(pairs[:, 0])
    column = np.arange(len(pairs)) - np.repeat(np.cumsum(num_own) - num_own, num_own)
    own_texts = np.full((len(num_own), num_own.max()), num_texts)
    own_texts[pairs[:, 0], column] = pairs[:, 1]
    return own_texts, num_own


def _draw_distinct(limits: np.ndarray, num: int, generator: np.random.Generator) -> np.ndarray:
    """Draws `num` distinct integers below `limits[i]` uniformly, for each i: `[n, num]`.

    Uses Floyd's algorithm (Bentley 1987) on all rows at once: no draw is rejected, even if all integers are needed.
    """
    drawn = np.empty((len(limits), num), np.int64)
    for column in range(num):
        last = limits - num + column  # [n]
        candidate = generator.integers(last, endpoint=True)
        taken = (drawn[:, :column] == candidate[:, np.newaxis]).any(axis=1)
        drawn[:, column] = np.where(taken, last, candidate)
    return drawn


def r_precision(
    image_embeddings: np.ndarray, caption_embeddings: np.ndarray, mismatches: np.ndarray, *, folds: int
) -> Estimate:
    """Computes the share of images whose own caption ranks first.

    Args:
      image_embeddings: embeddings of the images, `[n, dim]`.
      caption_embeddings: embeddings of their captions, `[n, dim]`, in the same order.
      mismatches: indices from `draw_mismatches`, `[n, num]`.
      folds: number of consecutive, nearly equal parts whose shares are averaged, usually 10.

    Returns:
      Mean and standard deviation of the share over the folds, from 0 to 1; chance is `1 / (1 + num)`.

    Raises:
      ValueError: the shapes do not match, there are fewer images than folds, or an embedding is zero or not finite.
    """
    found = finds_caption(image_embeddings, caption_embeddings, mismatches)
    if not 1 <= folds <= len(found):
        raise ValueError(f"{folds} folds of {len(found)} images: there must be at least 1 image in each")
    shares = [part.mean() for part in np.array_split(found, folds)]
    return Estimate(float(np.mean(shares)), float(np.std(shares)) if folds > 1 else None)


def finds_caption(image_embeddings: np.ndarray, caption_embeddings: np.ndarray, mismatches: np.ndarray) -> np.ndarray:
    """Tells whether each image is closer, by cosine, to its own caption than to every mismatch; a tie is a miss.

    For the arguments and exceptions, see `r_precision`.

    Returns:
      `[n]` bool.
    """
    images = _unit(image_embeddings, "image embeddings")
    captions = _unit(caption_embeddings, "caption embeddings")
    mismatches = np.asarray(mismatches)
    fits = images.shape == captions.shape and mismatches.ndim == 2 and len(mismatches) == len(captions)
    if not fits or not mismatches.size:
        raise ValueError(
            f"image embeddings {list(images.shape)}, caption embeddings {list(captions.shape)} and mismatches "
            f"{list(mismatches.shape)} do not belong together"
        )
    if not 0 <= mismatches.min() <= mismatches.max() < len(captions):
        raise ValueError(f"mismatches from {mismatches.min()} to {mismatches.max()} of {len(captions)} captions")
    count, dim = captions.shape
    rows = max(1, _NUMBERS_AT_ONCE // (mismatches.shape[1] * dim))
    found = np.empty(count, bool)
    for start in range(0, count, rows):
        part = slice(start, start + rows)
        own = np.einsum("nd,nd->n", images[part], captions[part])
        others = np.matmul(captions[mismatches[part]], images[part][:, :, np.newaxis])[:, :, 0]  # [rows, num]
        found[part] = own > others.max(axis=1) + _TIE
    return found


def _unit(embeddings: np.ndarray, name: str) -> np.ndarray:
    """Normalizes embeddings to unit length, `[n, dim]` float64."""
    embeddings = check_rows(embeddings, name).astype(np.float64)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"{np.count_nonzero(norms == 0)} of {len(norms)} {name} are all zeros, and have no direction")
    return embeddings / norms
