"""The design of the experiment: what is shown where, drawn from a secret so that nothing shown betrays a model."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SLOTS = "ABCD"  # The places of a page, from first to last.


class Comparison(NamedTuple):
    """The images of one caption, as a page shows them for one question."""

    token: str  # Names the page in tasks and answers.
    question: str
    row: int  # Of the caption in the list.
    models: tuple[str, ...]  # Whose image stands in each place of SLOTS.


def comparisons(question: str, num_captions: int, models: Sequence[str], secret: str) -> list[Comparison]:
    """A page for each caption.

    Within each run of as many captions as there are models, every model has every place once: the orders are the
    rotations of a random one (a Latin square), dealt out to captions by lot. So the places of no model are favored,
    however few answers come in; and both the orders and the sequence of the pages differ from question to question.

    Args:
      question: its name.
      num_captions: rows of the list of captions.
      models: names, at most as many as SLOTS.
      secret: see `new_name`.

    Returns:
      `num_captions` pages, in the order to be shown in.
    """
    rng = np.random.default_rng(int(_digest(secret, "order", question), 16))
    num_models = len(models)
    orders: list[np.ndarray] = []
    while len(orders) < num_captions:
        start = rng.permutation(num_models)
        orders += [np.roll(start, shift) for shift in rng.permutation(num_models)]
    return [
        Comparison(
            token=new_name(secret, "page", question, row),
            question=question,
            row=int(row),
            models=tuple(models[model] for model in order),
        )
        for row, order in zip(rng.permutation(num_captions), orders)
    ]


def image_name(secret: str, row: int, model: str) -> str:
    """The name of the file of a model's image of a caption."""
    return f"{new_name(secret, 'picture', model, row)}.png"


def new_name(secret: str, *parts: object) -> str:
    """A name of 20 letters and digits that tells nothing of `parts` to those who do not know the secret."""
    return _digest(secret, *parts)[:20]


def _digest(secret: str, *parts: object) -> str:
    return hmac.new(secret.encode(), "\n".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()
