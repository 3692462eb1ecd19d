"""The preprocessor and the encoder of a BERT, small by default, with TF Hub's text API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL_TOKENS))


class Size(NamedTuple):
    """The size of an encoder."""

    width: int
    heads: int
    layers: int
    positions: int  # Length of the longest caption, in tokens.


SMALL = Size(width=128, heads=4, layers=2, positions=64)
BASE = Size(width=768, heads=12, layers=12, positions=512)  # The published bert_en_uncased_L-12_H-768_A-12.
WIDTH = SMALL.width
_TOKEN_SPEC = {
    name: tf.TensorSpec([None, None], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")
}


class Preprocessor(tf.Module):
    """Converts captions to BERT's inputs: TF Hub's preprocessing API on top of TF Text's fast tokenizer."""

    def __init__(self, vocabulary: Sequence[str]):
        """Builds the tokenizer; `vocabulary` starts with SPECIAL_TOKENS."""
        super().__init__(name="preprocessor")
        self._tokenizer = tf_text.FastBertTokenizer(
            vocab=list(vocabulary), token_out_type=tf.int32, lower_case_nfd_strip_accents=True
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def __call__(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Converts captions, [batch] string, to the encoder's inputs, each [batch, 64] int32."""
        return self.bert_pack_inputs([self.tokenize(captions)], SMALL.positions)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def tokenize(self, captions: tf.Tensor) -> tf.RaggedTensor:
        """Tokenizes captions, [batch] string, into word pieces, [batch, (pieces)] int32."""
        return self._tokenizer.tokenize(captions)

    @tf.function(input_signature=[[tf.RaggedTensorSpec([None, None], tf.int32)], tf.TensorSpec([], tf.int32)])
    @tf.autograph.experimental.do_not_convert
    def bert_pack_inputs(self, segments: list[tf.RaggedTensor], seq_length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Packs one segment, [batch, (pieces)] int32, into the encoder's inputs, each [batch, seq_length] int32."""
        pieces = segments[0][:, : seq_length - 2]
        cls = tf.fill([pieces.nrows(), 1], CLS)
        sep = tf.fill([pieces.nrows(), 1], SEP)
        word_ids, mask = tf_text.pad_model_inputs(tf.concat([cls, pieces, sep], axis=1), seq_length, pad_value=PAD)
        return {"input_word_ids": word_ids, "input_mask": mask, "input_type_ids": tf.zeros_like(word_ids)}


class Encoder(tf.Module):
    """A BERT of Keras layers with TF Hub's encoder API; normalizes after each residual, like the original BERT."""

    def __init__(self, vocabulary_size: int, seed: int, size: Size = SMALL):
        """Builds and initializes all weights; see `initialize`."""
        super().__init__(name="encoder")
        layers, width, blocks = tf.keras.layers, size.width, range(size.layers)
        self.token_embedding = layers.Embedding(vocabulary_size, width)
        self.position_embedding = layers.Embedding(size.positions, width)
        self.type_embedding = layers.Embedding(2, width)
        self.embedding_norm = layers.LayerNormalization(epsilon=1e-6)
        self.attentions = [layers.MultiHeadAttention(size.heads, width // size.heads) for _ in blocks]
        self.attention_norms = [layers.LayerNormalization(epsilon=1e-6) for _ in blocks]
        self.expansions = [layers.Dense(4 * width, "gelu") for _ in blocks]
        self.contractions = [layers.Dense(width) for _ in blocks]
        self.output_norms = [layers.LayerNormalization(epsilon=1e-6) for _ in blocks]
        self.pooler = layers.Dense(width, "tanh")
        self({name: tf.zeros([1, 1], tf.int32) for name in _TOKEN_SPEC})
        initialize(self.trainable_variables, seed)

    @tf.function(input_signature=[_TOKEN_SPEC])
    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def __call__(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Encodes tokens, each input [batch, words] int32.

        Returns:
          'sequence_output' [batch, words, width] and 'pooled_output' [batch, width].
        """
        word_ids = inputs["input_word_ids"]  # [batch, words]
        attended = tf.cast(inputs["input_mask"], tf.bool)[:, tf.newaxis, :]  # [batch, 1, words]
        x = self.token_embedding(word_ids) + self.type_embedding(inputs["input_type_ids"])
        x = self.embedding_norm(x + self.position_embedding(tf.range(tf.shape(word_ids)[1])))  # [batch, words, width]
        for layer in range(len(self.attentions)):
            x = self.attention_norms[layer](x + self.attentions[layer](x, x, attention_mask=attended))
            x = self.output_norms[layer](x + self.contractions[layer](self.expansions[layer](x)))
        return {"sequence_output": x, "pooled_output": self.pooler(x[:, 0])}


def initialize(variables: Sequence[tf.Variable], seed: int) -> None:
    """Draws kernels and embeddings from BERT's truncated normal distribution with standard deviation 0.02.

    The values of a variable depend only on the seed and on its position in the list, not on the global seed.
    """
    for position, variable in enumerate(variables):
        if variable.shape.rank > 1:  # Biases and norms keep their zeros and ones.
            variable.assign(0.02 * tf.random.stateless_truncated_normal(variable.shape, [seed, position]))
