"""R-precision: is an image nearer to its own caption than to others (Xu et al. 2018; paper section 5.2)?

The true caption stands among mismatched ones (99 as a rule), and an image counts if it is nearest of all: R = 1.
"""

from __future__ import annotations

import typing

import numpy as np

from eval.metrics.checks import check_rows
from eval.score import Estimate

_TIE = 1e-6  # Cosines nearer than this are the same: an encoder's float32 does not tell them apart.
_NUMBERS_AT_ONCE = 2**22  # Of the mismatches' embeddings in float64: 32 MB.


def draw_mismatches(
    image_ids: typing.Sequence[typing.Hashable], captions: typing.Sequence[str], *, num: int, seed: int
) -> np.ndarray:
    """Draws the captions that each caption's image is tempted with.

    None of them is true of the image by its source: captions of the same image never serve, nor any with the words
    of one of them (whatever its case and spaces), though it belongs to another image. A row has no text twice: each is
    a uniform draw of different texts, and a text that stands in the list several times is no likelier than others.

    Args:
      image_ids: `n` names of the images that the captions were written for.
      captions: `n` captions, in the same order.
      num: mismatches of each.
      seed: of the draws; the same list and seed give the same mismatches.

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
    drawn = _distinct(num_possible, num, np.random.default_rng(seed))  # [n, num], numbered without the own texts
    # Step over the own texts, from the first to the last, to number them among all.
    for own in own_texts[image].T:
        drawn += drawn >= own[:, np.newaxis]
    return position_of_text[drawn]


def _number(items: typing.Iterable[typing.Hashable]) -> np.ndarray:
    """Numbers the different items, from 0 in the order of their first appearance: `[n]`."""
    numbers: dict[typing.Hashable, int] = {}
    return np.array([numbers.setdefault(item, len(numbers)) for item in items])


def _texts_by_image(image: np.ndarray, text: np.ndarray, *, num_texts: int) -> tuple[np.ndarray, np.ndarray]:
    """The different texts of each image, ascending and padded with `num_texts`: `[images, most]`; and their number."""
    pairs = np.unique(np.stack([image, text], axis=1), axis=0)  # Sorted by image, then by text.
    num_own = np.bincount(pairs[:, 0])
    column = np.arange(len(pairs)) - np.repeat(np.cumsum(num_own) - num_own, num_own)
    own_texts = np.full((len(num_own), num_own.max()), num_texts)
    own_texts[pairs[:, 0], column] = pairs[:, 1]
    return own_texts, num_own


def _distinct(limits: np.ndarray, num: int, generator: np.random.Generator) -> np.ndarray:
    """A uniform draw of `num` different integers below `limits[i]` for each i: `[n, num]`.

    Floyd's algorithm (Bentley 1987), all rows in step: no draw is ever thrown away, even if all integers are needed.
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
    """The share of images that find their own caption.

    Args:
      image_embeddings: `[n, dim]` of the images.
      caption_embeddings: `[n, dim]` of their captions, in the same order.
      mismatches: `[n, num]`, of `draw_mismatches`.
      folds: consecutive parts, as equal as can be, whose shares are averaged: 10 as a rule.

    Returns:
      Mean and deviation over the folds of the share, from 0 to 1; `1 / (1 + num)` is chance.

    Raises:
      ValueError: the shapes do not fit together, there are fewer images than folds, or an embedding is not finite
        or of length 0.
    """
    found = finds_caption(image_embeddings, caption_embeddings, mismatches)
    if not 1 <= folds <= len(found):
        raise ValueError(f"{folds} folds of {len(found)} images: there must be at least 1 image in each")
    shares = [part.mean() for part in np.array_split(found, folds)]
    return Estimate(float(np.mean(shares)), float(np.std(shares)) if folds > 1 else None)


def finds_caption(image_embeddings: np.ndarray, caption_embeddings: np.ndarray, mismatches: np.ndarray) -> np.ndarray:
    """Whether each image is nearer, by cosine, to its own caption than to every mismatch; a tie is none.

    Args and Raises as of `r_precision`.

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
    """Embeddings of length 1, `[n, dim]` in float64."""
    embeddings = check_rows(embeddings, name).astype(np.float64)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"{np.count_nonzero(norms == 0)} of {len(norms)} {name} are all zeros, and point nowhere")
    return embeddings / norms
