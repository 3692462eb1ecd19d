"""Counts the tokens of captions with the experiment's text preprocessor; BERT itself is not needed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from xmcgan.models.text_encoder import count_tokens, load_preprocessor

# [CLS] and [SEP], which config.data.text_length includes.
_SPECIAL_TOKENS = 2


class TokenCounter:
    """Counts tokens with the `tokenize` function of a TF Hub text preprocessor."""

    def __init__(self, preprocessor: str, name: str = "text.preprocessor"):
        """Loads the preprocessor.

        Args:
          preprocessor: TF Hub handle, or folder of a SavedModel.
          name: the name that the user knows; error messages begin with it.

        Raises:
          FileNotFoundError: it can be neither found nor downloaded.
          ValueError: it does not have the API of a text preprocessor.
        """
        self._preprocessor = load_preprocessor(preprocessor, name)

    def count(self, captions: tf.Tensor) -> tf.Tensor:
        """Counts tokens, including [CLS] and [SEP]; can be called within `Dataset.map`.

        Args:
          captions: [captions] string.

        Returns:
          [captions] int64, at least 2.
        """
        return count_tokens(self._preprocessor, captions)

    def words_kept(self, caption: str, text_length: int) -> int:
        """Returns how many words at the beginning of a caption are kept whole when it is cut at `text_length` tokens.

        Args:
          caption: words separated by white space, at which all of BERT's tokenizers split.
          text_length: number of tokens, including [CLS] and [SEP].
        """
        words = tf.constant(caption.split(), tf.string)
        pieces = count_tokens(self._preprocessor, words).numpy() - _SPECIAL_TOKENS  # [words]
        return int(np.searchsorted(np.cumsum(pieces), text_length - _SPECIAL_TOKENS, side="right"))
