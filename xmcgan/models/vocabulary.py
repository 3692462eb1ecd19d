"""The tokens of BERT's token ids, for display."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_hub as hub

# Where the published preprocessors, and ours, keep the tokens: one per line, beginning with id 0.
_FILE = os.path.join("assets", "vocab.txt")
_PIECE = "##"  # Prefix of a token that continues the word of the previous token.


def read_vocabulary(preprocessor: str) -> list[str]:
    """Reads the tokens of a preprocessor; '##' marks tokens that continue a word.

    Args:
      preprocessor: TF-Hub handle, or folder of a SavedModel.

    Returns:
      The tokens in the order of their ids; an empty list if the preprocessor has no such file.
    """
    path = os.path.join(hub.resolve(preprocessor), _FILE)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path, "rb") as file:
        lines = file.read().decode("utf-8-sig", errors="replace").split("\n")
    # A token may be another kind of line end.
    return [line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])]


def name_tokens(vocabulary: list[str], token_ids: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Turns token ids into tokens, in the graph.

    Args:
      vocabulary: from `read_vocabulary`; if it is empty, ids are returned as numbers.
      token_ids: [batch, words] int32.
      mask: [batch, words], 1 for real tokens and 0 for padding.

    Returns:
      [batch, words] string, '' for padding.
    """
    names = tf.gather(tf.constant(vocabulary), token_ids) if vocabulary else tf.strings.as_string(token_ids)
    return tf.where(mask > 0, names, "")


def pieces_of_words(tokens: Sequence[str]) -> list[list[str]]:
    """Returns the pieces of each word, without '##': ['a', 'sun', '##set'] -> [['a'], ['sun', 'set']]."""
    words: list[list[str]] = []
    for token in tokens:
        if token.startswith(_PIECE) and words:
            words[-1].append(token[len(_PIECE) :])
        else:
            words.append([token])
    return words
