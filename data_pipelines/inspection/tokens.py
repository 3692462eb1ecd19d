"""Counts the tokens of captions with the experiment's own text preprocessor; BERT itself is not needed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from xmcgan.models.text_encoder import count_tokens, load_preprocessor

# [CLS] and [SEP], which config.data.text_length counts too.
_SPECIAL_TOKENS = 2


class TokenCounter:
    """A text preprocessor of TF Hub's API, used for its `tokenize`."""

    def __init__(self, preprocessor: str):
        """Loads the preprocessor.

        Args:
          preprocessor: TF-Hub handle, or folder of a SavedModel.

        Raises:
          FileNotFoundError: it cannot be had.
          ValueError: it is of another API.
        """
        self._preprocessor = load_preprocessor(preprocessor)

    def count(self, captions: tf.Tensor) -> tf.Tensor:
        """Counts tokens, [CLS] and [SEP] included; also within a tf.data `map`.

        Args:
          captions: [captions] string.

        Returns:
          [captions] int64, at least 2.
        """
        return count_tokens(self._preprocessor, captions)

    def words_kept(self, caption: str, text_length: int) -> int:
        """How many words, counted from the first one, stay whole in a caption that is cut at `text_length` tokens.

        Args:
          caption: words with white space between them, at which every tokenizer of BERT's splits.
          text_length: tokens, [CLS] and [SEP] included.
        """
        words = tf.constant(caption.split(), tf.string)
        pieces = count_tokens(self._preprocessor, words).numpy() - _SPECIAL_TOKENS  # [words]
        return int(np.searchsorted(np.cumsum(pieces), text_length - _SPECIAL_TOKENS, side="right"))
