"""BERT, small by default: the preprocessor and the encoder, with TF Hub's text API."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

from xmcgan.models import hub_files

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Their ids in the vocabularies that are learned here; published ones have others.
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL_TOKENS))
VOCABULARY_FILE = "vocab.txt"  # The same name as in the published preprocessors.

# Characters that BERT removes: control, formatting and private ones, and those in place of bytes that were not text.
_REMOVED = r"[\p{C}\x{FFFD}]"
_SPACES = r"[\t\n\r\p{Z}]"
_ACCENTS = r"\p{Mn}"
# BERT takes words of more than 100 characters for unknown ones, TF Text those of more bytes than it is told.
_MAX_WORD_BYTES = 400
_LONG_WORDS = r"[0-9A-Za-z]{101,}"
_TOKEN_SPEC = {
    name: tf.TensorSpec([None, None], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")
}


class Architecture(NamedTuple):
    """Everything about an encoder but its vocabulary and weights."""

    width: int
    heads: int
    layers: int
    positions: int  # Length of the longest caption, in tokens.
    hidden_width: int | None = None  # Of the two dense layers in each block; None for 4 * width.
    types: int = 2  # Number of token types; captions have type 0.
    activation: str = "gelu"  # One of ACTIVATIONS.
    epsilon: float = 1e-6  # Added to the variance in layer normalization.
    pooler: bool = True  # If False, 'pooled_output' is the output at [CLS].


def _gelu_by_tanh(x: tf.Tensor) -> tf.Tensor:
    return tf.keras.activations.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": tf.keras.activations.gelu, "gelu_by_tanh": _gelu_by_tanh, "relu": tf.keras.activations.relu}
SMALL = Architecture(width=128, heads=4, layers=2, positions=64)
BASE = Architecture(width=768, heads=12, layers=12, positions=512)  # The published bert_en_uncased_L-12_H-768_A-12.
WIDTH = SMALL.width


class Preprocessor(tf.Module):
    """Converts captions to BERT's inputs: TF Hub's preprocessing API on top of TF Text's fast tokenizer.

    Tokens are those of BERT's own tokenizer, with two differences. The name of a special token in a caption, such as
    "[MASK]", is plain text. And a word of more than 100 characters that are not all ASCII is unknown only if it is
    longer than 400 bytes.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        lower_case: bool = True,
        strip_accents: bool = True,
        default_length: int = SMALL.positions,
    ):
        """Builds the tokenizer.

        Args:
          vocabulary: words and pieces of words, the latter with the prefix '##'; SPECIAL_TOKENS are among them.
          lower_case: captions are lower-cased.
          strip_accents: accents are removed.
          default_length: number of tokens that `__call__` pads to.
        """
        super().__init__(name="preprocessor")
        self._vocabulary = list(vocabulary)
        self._pad, self._cls, self._sep = (self._vocabulary.index(token) for token in ("[PAD]", "[CLS]", "[SEP]"))
        self._lower_case, self._strip_accents, self._default_length = lower_case, strip_accents, default_length
        self._tokenizer = tf_text.FastWordpieceTokenizer(
            vocab=self._vocabulary, token_out_type=tf.int32, max_bytes_per_word=_MAX_WORD_BYTES
        )

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words and pieces, in the order of their ids."""
        return tuple(self._vocabulary)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def __call__(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Converts captions, [batch] string, to the encoder's inputs, each [batch, default_length] int32."""
        return self.bert_pack_inputs([self.tokenize(captions)], self._default_length)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def tokenize(self, captions: tf.Tensor) -> tf.RaggedTensor:
        """Tokenizes captions, [batch] string, into word pieces, [batch, (pieces)] int32."""
        return self._tokenizer.tokenize(self._normalize(captions))

    @tf.function(input_signature=[[tf.RaggedTensorSpec([None, None], tf.int32)], tf.TensorSpec([], tf.int32)])
    @tf.autograph.experimental.do_not_convert
    def bert_pack_inputs(self, segments: list[tf.RaggedTensor], seq_length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Packs one segment, [batch, (pieces)] int32, into the encoder's inputs, each [batch, seq_length] int32."""
        pieces = segments[0][:, : seq_length - 2]
        cls = tf.fill([pieces.nrows(), 1], self._cls)
        sep = tf.fill([pieces.nrows(), 1], self._sep)
        tokens = tf.concat([cls, pieces, sep], axis=1)
        word_ids, mask = tf_text.pad_model_inputs(tokens, seq_length, pad_value=self._pad)
        return {"input_word_ids": word_ids, "input_mask": mask, "input_type_ids": tf.zeros_like(word_ids)}

    def _normalize(self, captions: tf.Tensor) -> tf.Tensor:
        """Cleans captions as BERT's tokenizer does, [batch] string; TF Text's own way changes more characters."""
        text = tf.strings.regex_replace(captions, _SPACES, " ")
        text = tf.strings.regex_replace(text, _REMOVED, "")
        if self._strip_accents:
            text = tf.strings.regex_replace(tf_text.normalize_utf8(text, "NFD"), _ACCENTS, "")
        if self._lower_case:
            text = tf.strings.regex_replace(text, "Σ", "σ")  # It has another lower case at the end of a word.
            text = tf.strings.lower(text, encoding="utf-8")
        return tf.strings.regex_replace(text, _LONG_WORDS, "\N{REPLACEMENT CHARACTER}")


class Encoder(tf.Module):
    """A BERT of Keras layers with TF Hub's encoder API; normalizes after each residual, like the original BERT."""

    def __init__(self, vocabulary_size: int, seed: int, architecture: Architecture = SMALL):
        """Builds and initializes all weights; see `initialize`."""
        super().__init__(name="encoder")
        layers, width, blocks = tf.keras.layers, architecture.width, range(architecture.layers)
        heads, epsilon = architecture.heads, architecture.epsilon
        hidden_width, activation = architecture.hidden_width or 4 * width, ACTIVATIONS[architecture.activation]
        self.token_embedding = layers.Embedding(vocabulary_size, width)
        self.position_embedding = layers.Embedding(architecture.positions, width)
        self.type_embedding = layers.Embedding(architecture.types, width)
        self.embedding_norm = layers.LayerNormalization(epsilon=epsilon)
        self.attentions = [layers.MultiHeadAttention(heads, width // heads) for _ in blocks]
        self.attention_norms = [layers.LayerNormalization(epsilon=epsilon) for _ in blocks]
        self.expansions = [layers.Dense(hidden_width, activation) for _ in blocks]
        self.contractions = [layers.Dense(width) for _ in blocks]
        self.output_norms = [layers.LayerNormalization(epsilon=epsilon) for _ in blocks]
        self.pooler = layers.Dense(width, "tanh") if architecture.pooler else None
        self({name: tf.zeros([1, 1], tf.int32) for name in _TOKEN_SPEC})
        initialize(self.trainable_variables, seed)

    @tf.function(input_signature=[_TOKEN_SPEC])
    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def __call__(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor | list[tf.Tensor]]:
        """Encodes tokens, each input [batch, words] int32.

        Returns:
          'sequence_output' [batch, words, width]; 'encoder_outputs', the same of each block, of which this is the last;
          'pooled_output' and 'default', both [batch, width].
        """
        word_ids = inputs["input_word_ids"]  # [batch, words]
        attended = tf.cast(inputs["input_mask"], tf.bool)[:, tf.newaxis, :]  # [batch, 1, words]
        x = self.token_embedding(word_ids) + self.type_embedding(inputs["input_type_ids"])
        x = self.embedding_norm(x + self.position_embedding(tf.range(tf.shape(word_ids)[1])))  # [batch, words, width]
        outputs = []
        for layer in range(len(self.attentions)):
            x = self.attention_norms[layer](x + self.attentions[layer](x, x, attention_mask=attended))
            x = self.output_norms[layer](x + self.contractions[layer](self.expansions[layer](x)))
            outputs.append(x)
        pooled = self.pooler(x[:, 0]) if self.pooler else x[:, 0]  # [batch, width]
        return {"sequence_output": x, "encoder_outputs": outputs, "pooled_output": pooled, "default": pooled}


def initialize(variables: Sequence[tf.Variable], seed: int) -> None:
    """Draws kernels and embeddings from BERT's truncated normal distribution with standard deviation 0.02.

    The values of a variable depend only on the seed and on its position in the list, not on the global seed.
    """
    for position, variable in enumerate(variables):
        if variable.shape.rank > 1:  # Biases and norms keep their zeros and ones.
            variable.assign(0.02 * tf.random.stateless_truncated_normal(variable.shape, [seed, position]))


def save(preprocessor: Preprocessor, encoder: Encoder, folder: str | os.PathLike) -> None:
    """Saves both as SavedModels, `folder/preprocessor` and `folder/encoder`.

    Args:
      preprocessor: to save; its vocabulary becomes `assets/vocab.txt`.
      encoder: to save; its `trainable_variables` are saved by this name, so that it can be fine-tuned.
      folder: an existing folder.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = os.path.join(temporary, VOCABULARY_FILE)
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{token}\n" for token in preprocessor.vocabulary)
        preprocessor.vocabulary_file = tf.saved_model.Asset(path)
        tf.saved_model.save(preprocessor, os.path.join(folder, "preprocessor"))
    hub_files.save_functions(
        os.path.join(folder, "encoder"),
        {"__call__": encoder.__call__},
        {"trainable_variables": encoder.trainable_variables},
    )
