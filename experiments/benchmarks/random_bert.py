"""A BERT of the published size with random weights, for measuring time and memory."""

from __future__ import annotations

import os

import tensorflow as tf

from xmcgan import console
from xmcgan.models import bert_model

VOCABULARY = 30_522  # Size of the published BERT's vocabulary.


def write(folder: str) -> None:
    """Saves `folder/encoder`, and `folder/preprocessor` with a vocabulary of one word."""
    with console.quiet_libraries():
        preprocessor = bert_model.Preprocessor([*bert_model.SPECIAL_TOKENS, "a"])
        tf.saved_model.save(preprocessor, os.path.join(folder, "preprocessor"))
        encoder = bert_model.Encoder(VOCABULARY, seed=0, architecture=bert_model.BASE)
        tf.saved_model.save(encoder, os.path.join(folder, "encoder"))
