"""Captions to text features: a TF-Hub text preprocessor and a frozen BERT (section 4.1).

Both come from TF Hub or from a local folder, and have TF Hub's common SavedModel API for text:

  preprocessor.tokenize(captions)                         -> ragged token ids
  preprocessor.bert_pack_inputs([token ids], seq_length)  -> {'input_word_ids', 'input_mask', 'input_type_ids'}
  encoder({these three})                                  -> {'pooled_output', 'sequence_output'}
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the preprocessors)

from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models import hub_files

SENTENCE_POOLINGS = ("mean", "sum_over_length", "pooled_output")
TOKEN_FEATURES = ("input_word_ids", "input_mask", "input_type_ids")


class TextFeatures(NamedTuple):
    """The features of a batch of captions, as the networks see them."""

    sentence: tf.Tensor  # [batch, dim] float32, e_s.
    words: tf.Tensor  # [batch, words, dim] float32, e_w; [CLS] and [SEP] are words too.
    lengths: tf.Tensor  # [batch] int32: real words; the rest of `words` is padding.


class TextEncoder(tf.Module):
    """A preprocessor and an encoder of the TF-Hub text API, frozen.

    Create it inside `strategy.scope()`: every device then holds its own copy of the weights. It has no trainable
    variables. It is not part of the networks that are saved, so checkpoints do not contain BERT.

    Attributes:
      preprocessor: the preprocessor's TF-Hub handle, or folder.
      text_length: number of tokens that captions are cut or padded to, [CLS] and [SEP] included.
      sentence_pooling: see `pool_sentence`.
      dim: width of the features.
    """

    def __init__(
        self,
        preprocessor: str,
        encoder: str,
        text_length: int,
        sentence_pooling: str = "mean",
        dim: int | None = None,
    ):
        """Loads both SavedModels and tries them on an empty caption.

        Args:
          preprocessor: TF-Hub handle, or folder of a SavedModel.
          encoder: TF-Hub handle, or folder of a SavedModel.
          text_length: number of tokens that captions are cut or padded to, [CLS] and [SEP] included.
          sentence_pooling: one of SENTENCE_POOLINGS.
          dim: the width that the networks are built for; None accepts any width.

        Raises:
          FileNotFoundError: a handle cannot be fetched, or a folder holds no SavedModel.
          ValueError: a SavedModel is broken or has another API, `text_length` is more than the encoder supports, the
            encoder's width is not `dim`, or `sentence_pooling` is unknown.
        """
        super().__init__(name="text_encoder")
        if sentence_pooling not in SENTENCE_POOLINGS:
            raise ValueError(
                f"text.sentence_pooling={sentence_pooling!r} is not possible: "
                f"choose one of {', '.join(SENTENCE_POOLINGS)}"
            )
        self.preprocessor = preprocessor
        self.text_length = text_length
        self.sentence_pooling = sentence_pooling
        self._preprocessor = load_preprocessor(preprocessor)
        self._encoder = hub_files.load(encoder, "text.encoder")
        self.dim: int = None  # type: ignore[assignment]  # Known after the forward pass in `_probe`.
        self.dim = self._probe(preprocessor, encoder)
        if dim is not None and dim != self.dim:
            raise ValueError(f"text.dim={dim}, but the encoder '{encoder}' is {self.dim} wide: set text.dim={self.dim}")

    def __call__(self, captions: tf.Tensor) -> TextFeatures:
        """Encodes captions: `tokenize`, then `encode`.

        Args:
          captions: [batch] string.

        Returns:
          The `TextFeatures`.
        """
        return self.encode(self.tokenize(captions))

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns captions into BERT's inputs; runs on the host, also within a tf.data `map`.

        An empty caption becomes [CLS] [SEP], and bytes that are not UTF-8 become unknown words. If a dataset maps this
        function and its iterator is checkpointed, the dataset needs `options.experimental_external_state_policy =
        tf.data.experimental.ExternalStatePolicy.IGNORE`, because tf.data regards the vocabulary's table as state.

        Args:
          captions: [batch] string.

        Returns:
          TOKEN_FEATURES, each [batch, text_length] int32.
        """
        captions = tf.convert_to_tensor(captions, tf.string)
        token_ids = self._preprocessor.tokenize(captions)  # [batch, (words), (pieces)] or [batch, (pieces)]
        packed = self._preprocessor.bert_pack_inputs([token_ids], seq_length=self.text_length)
        shape = [captions.shape[0], self.text_length]  # The SavedModel knows neither size.
        return {name: tf.ensure_shape(tf.cast(packed[name], tf.int32), shape) for name in TOKEN_FEATURES}

    def encode(self, tokens: Mapping[str, tf.Tensor]) -> TextFeatures:
        """Runs BERT on the tokens from `tokenize`, within the compiled step and on the device.

        Call it outside of gradient tapes: the features carry no gradient, but a tape would still keep BERT's
        activations.

        Args:
          tokens: TOKEN_FEATURES, each [batch, text_length] int32.

        Returns:
          The `TextFeatures`.
        """
        outputs = self._encoder({name: tokens[name] for name in TOKEN_FEATURES})
        mask = tokens["input_mask"]  # [batch, words]
        lengths = tf.reduce_sum(mask, axis=1)  # [batch]
        shape = [mask.shape[0], self.text_length, self.dim]
        words = tf.cast(tf.ensure_shape(outputs["sequence_output"], shape), tf.float32)  # [batch, words, dim]
        if self.sentence_pooling == "pooled_output":
            sentence = tf.cast(tf.ensure_shape(outputs["pooled_output"], shape[::2]), tf.float32)  # [batch, dim]
        else:
            sentence = pool_sentence(words, mask, self.sentence_pooling)  # [batch, dim]
        return TextFeatures(tf.stop_gradient(sentence), tf.stop_gradient(words), lengths)

    def is_cut(self, captions: tf.Tensor) -> tf.Tensor:
        """Tells which captions have more tokens than `text_length`.

        Args:
          captions: [batch] string.

        Returns:
          [batch] bool.
        """
        return count_tokens(self._preprocessor, tf.convert_to_tensor(captions, tf.string)) > self.text_length

    def _probe(self, preprocessor: str, encoder: str) -> int:
        """Runs an empty caption to check that both SavedModels fit this class and each other; returns the width."""
        tokens = self.tokenize(tf.constant([""]))
        strategy = tf.distribute.get_strategy()  # Within its scope, mirrored weights can be read only on replicas.
        try:
            features = strategy.run(tf.function(self.encode, autograph=False), args=(tokens,))
            return strategy.experimental_local_results(features.words)[0].shape[-1]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"text.encoder='{encoder}' is not a BERT with TF Hub's text API (a dict of "
                f"{', '.join(TOKEN_FEATURES)} in, pooled_output and sequence_output out): "
                "pass one such as bert_en_uncased_L-12_H-768_A-12"
            ) from error
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"text.encoder='{encoder}' does not take {self.text_length} tokens from "
                f"'{preprocessor}': lower data.text_length, or pass the preprocessor of this encoder"
            ) from error


def load_text_encoder(config: Config, data_dir: str) -> TextEncoder:
    """Loads the text encoder of an experiment.

    Args:
      config: its fields `text` and `data.text_length` are used.
      data_dir: folder of all records.

    Returns:
      The frozen encoder.

    Raises:
      FileNotFoundError: a handle cannot be fetched, or a folder holds no SavedModel.
      ValueError: the encoder does not fit the config, see `TextEncoder`.
    """
    try:
        return TextEncoder(
            *handles.resolve_text(config.text, data_dir),
            config.data.text_length,
            config.text.sentence_pooling,
            config.text.dim,
        )
    except FileNotFoundError as error:
        for name, path in zip(("preprocessor", "encoder"), handles.resolve_text(config.text, data_dir)):
            handle = getattr(config.text, name)
            if handles.is_prepared(handle) and not os.path.isdir(path):
                raise FileNotFoundError(
                    f"text.{name}='{handle}' is a folder below --data_dir, and there is no {path}: give the --data_dir "
                    "that the run was trained with"
                ) from error
        raise


def load_preprocessor(handle: str, name: str = "text.preprocessor") -> tf.Module:
    """Loads a preprocessor, which tokenizes without BERT.

    Args:
      handle: TF-Hub handle, or folder of a SavedModel.
      name: the name that the user knows; error messages begin with it.

    Returns:
      The SavedModel, with the methods `tokenize` and `bert_pack_inputs`.

    Raises:
      FileNotFoundError: it cannot be fetched, or the folder holds no SavedModel.
      ValueError: it is broken or has another API.
    """
    preprocessor = hub_files.load(handle, name)
    for method in ("tokenize", "bert_pack_inputs"):
        if not hasattr(preprocessor, method):
            raise ValueError(
                f"{name}='{handle}' has no method '{method}': "
                "pass one of TF Hub's text preprocessors, such as bert_en_uncased_preprocess"
            )
    return preprocessor


def count_tokens(preprocessor: tf.Module, captions: tf.Tensor) -> tf.Tensor:
    """Counts the tokens of captions before any are cut off, [CLS] and [SEP] included.

    Args:
      preprocessor: from `load_preprocessor`.
      captions: [batch] string.

    Returns:
      [batch] int64.
    """
    tokens = preprocessor.tokenize(captions)
    if tokens.shape.rank == 3:  # [batch, (words), (pieces)]
        tokens = tokens.merge_dims(1, 2)
    return tokens.row_lengths() + 2


def pool_sentence(words: tf.Tensor, mask: tf.Tensor, pooling: str) -> tf.Tensor:
    """Pools the word embeddings into the sentence embedding e_s (section 4.1).

    Args:
      words: [batch, words, dim] float32.
      mask: [batch, words], 1 for real words and 0 for padding.
      pooling: 'mean', the mean over real words; or 'sum_over_length', the sum over all positions, padding included,
        divided by the number of real words (as in the public JAX release).

    Returns:
      [batch, dim] float32.
    """
    mask = tf.cast(mask, words.dtype)[:, :, tf.newaxis]  # [batch, words, 1]
    summed = tf.reduce_sum(words * mask if pooling == "mean" else words, axis=1)  # [batch, dim]
    return summed / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)


def check_captions(captions: Sequence[str]) -> None:
    """Refuses a user's captions if one is empty or not valid text.

    Args:
      captions: one string per caption.

    Raises:
      ValueError: there are no captions, or one is empty or not UTF-8; the message gives its number, counted from 1.
    """
    if not captions:
        raise ValueError("no captions: give at least one")
    for number, caption in enumerate(captions, start=1):
        if not caption.strip():
            raise ValueError(f"caption {number} of {len(captions)} is empty: write a sentence, or remove the line")
        try:
            caption.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"caption {number} of {len(captions)} is not valid UTF-8: {error.reason}") from error
