"""A text preprocessor whose tokens anyone can count: every letter is one."""

from __future__ import annotations

import pathlib
import string

import tensorflow as tf

from data_pipelines.scenes import bert_model


def save_preprocessor(folder: pathlib.Path) -> None:
    """Saves it by TF Hub's text API."""
    signs = string.ascii_lowercase + string.digits
    vocabulary = [*bert_model.SPECIAL_TOKENS, *signs, *(f"##{sign}" for sign in signs), *string.punctuation]
    tf.saved_model.save(bert_model.Preprocessor(vocabulary), str(folder))


def num_tokens(text: str) -> int:
    """The tokens of an ASCII caption, with [CLS] and [SEP]."""
    return len(text.replace(" ", "")) + 2
