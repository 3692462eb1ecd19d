"""A text preprocessor with one token per letter, so that tests can count the tokens."""

from __future__ import annotations

import pathlib
import string

import tensorflow as tf

from xmcgan.models import bert_model


def save_preprocessor(folder: pathlib.Path) -> None:
    """Saves the preprocessor as TF Hub's text API requires."""
    letters = string.ascii_lowercase + string.digits
    vocabulary = [*bert_model.SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters), *string.punctuation]
    tf.saved_model.save(bert_model.Preprocessor(vocabulary), str(folder))


def num_tokens(text: str) -> int:
    """Returns the number of tokens of an ASCII caption, with [CLS] and [SEP]."""
    return len(text.replace(" ", "")) + 2
