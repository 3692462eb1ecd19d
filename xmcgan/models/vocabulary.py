"""The tokens behind BERT's token ids, for people who want to see them."""

from __future__ import annotations

import os

import tensorflow as tf
import tensorflow_hub as hub

# Where the published preprocessors, and ours, keep the tokens: one in a line, the first being 0.
_FILE = os.path.join("assets", "vocab.txt")


def read_vocabulary(preprocessor: str) -> list[str]:
    """The tokens of a preprocessor, '##' before those that go on with a word.

    Args:
      preprocessor: TF-Hub handle, or folder of a SavedModel.

    Returns:
      The tokens in the order of their ids; none if the preprocessor does not tell.
    """
    path = os.path.join(hub.resolve(preprocessor), _FILE)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        return file.read().splitlines()


def name_tokens(vocabulary: list[str], token_ids: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Names tokens, in the graph.

    Args:
      vocabulary: of `read_vocabulary`; if it is empty, a token is called by its number.
      token_ids: [batch, words] int32.
      mask: [batch, words], 1 for real tokens and 0 for padding.

    Returns:
      [batch, words] string, '' for padding.
    """
    names = tf.gather(tf.constant(vocabulary), token_ids) if vocabulary else tf.strings.as_string(token_ids)
    return tf.where(mask > 0, names, "")
