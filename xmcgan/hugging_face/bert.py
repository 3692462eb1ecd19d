"""A BERT from a Hugging Face folder: `config.json`, the tokenizer's files and `model.safetensors`."""

from __future__ import annotations

import os
from typing import Annotated, NamedTuple, Optional

import msgspec

from xmcgan import escapes, text_files
from xmcgan.hugging_face import tokenizer_files, weights
from xmcgan.models.bert_model import Architecture, Encoder, Preprocessor

_DEFAULT_LENGTH = 128  # As in TF Hub's preprocessors; callers pass their own.
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_by_tanh", "gelu_pytorch_tanh": "gelu_by_tanh", "relu": "relu"}
_Size = Annotated[int, msgspec.Meta(ge=1)]


class ImportedBert(NamedTuple):
    """Both models of TF Hub's text API, and what they are."""

    preprocessor: Preprocessor
    encoder: Encoder
    model_type: str  # One of `weights.MODEL_TYPES`.
    architecture: Architecture
    tokenizer: tokenizer_files.TokenizerFiles


class _ModelType(msgspec.Struct):
    model_type: str


class _BertConfig(msgspec.Struct):
    hidden_size: _Size
    num_attention_heads: _Size
    num_hidden_layers: _Size
    intermediate_size: _Size
    max_position_embeddings: _Size
    vocab_size: _Size
    type_vocab_size: _Size = 2
    hidden_act: str = "gelu"
    layer_norm_eps: Annotated[float, msgspec.Meta(gt=0)] = 1e-12
    position_embedding_type: Optional[str] = "absolute"
    is_decoder: bool = False

    def architecture(self) -> Architecture:
        return Architecture(
            width=self.hidden_size,
            heads=self.num_attention_heads,
            layers=self.num_hidden_layers,
            positions=self.max_position_embeddings,
            hidden_width=self.intermediate_size,
            types=self.type_vocab_size,
            activation=self.hidden_act,
            epsilon=self.layer_norm_eps,
        )


class _DistilBertConfig(msgspec.Struct):
    dim: _Size
    n_heads: _Size
    n_layers: _Size
    hidden_dim: _Size
    max_position_embeddings: _Size
    vocab_size: _Size
    activation: str = "gelu"
    position_embedding_type: Optional[str] = "absolute"
    is_decoder: bool = False

    def architecture(self) -> Architecture:
        return Architecture(
            width=self.dim,
            heads=self.n_heads,
            layers=self.n_layers,
            positions=self.max_position_embeddings,
            hidden_width=self.hidden_dim,
            activation=self.activation,
            epsilon=1e-12,
        )


_CONFIGS = {"bert": _BertConfig, "distilbert": _DistilBertConfig}


def load(folder: str | os.PathLike) -> ImportedBert:
    """Loads a BERT or DistilBERT from a folder in the layout of `transformers`.

    Weights in 16 bits are converted to float32. DistilBERT has no pooler, and some BERTs are stored without one: their
    'pooled_output' is the output at [CLS].

    Args:
      folder: with `config.json`, `model.safetensors`, and `tokenizer.json` or `vocab.txt`.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is damaged, files do not fit each other, or the model is of another type.
    """
    path = os.path.join(folder, "config.json")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{os.fspath(folder)} has no config.json: pass the folder of a Hugging Face model")
    kind: _ModelType = text_files.read_json(path, _ModelType)
    model_type = kind.model_type
    if model_type not in _CONFIGS:
        raise ValueError(f"{path}: model_type is {escapes.excerpt(repr(model_type))}: pass a {' or a '.join(_CONFIGS)}")
    config: _BertConfig | _DistilBertConfig = text_files.read_json(path, _CONFIGS[model_type])
    architecture = _checked(config.architecture(), config, path)
    tokenizer = tokenizer_files.read(folder)
    if len(tokenizer.vocabulary) > config.vocab_size:
        raise ValueError(
            f"{path}: vocab_size is {config.vocab_size:,}, but the tokenizer of {os.fspath(folder)} has "
            f"{len(tokenizer.vocabulary):,} tokens: get both again"
        )
    stored = weights.Weights(folder)
    architecture = architecture._replace(pooler=stored.has(weights.POOLER))
    stored.check_sizes(model_type, architecture, config.vocab_size)
    encoder = Encoder(config.vocab_size, seed=0, architecture=architecture)
    weights.assign(encoder, stored, model_type)
    length = min(_DEFAULT_LENGTH, architecture.positions)
    preprocessor = Preprocessor(*tokenizer, default_length=length)
    return ImportedBert(preprocessor, encoder, model_type, architecture, tokenizer)


def _checked(architecture: Architecture, config: _BertConfig | _DistilBertConfig, path: str) -> Architecture:
    """Returns the architecture with our name of its activation, if a config describes one that `Encoder` has."""
    if architecture.activation not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        found = escapes.excerpt(repr(architecture.activation))
        raise ValueError(f"{path}: the activation is {found}: pass a model with one of {known}")
    if config.position_embedding_type not in (None, "absolute"):
        raise ValueError(
            f"{path}: position_embedding_type is {escapes.excerpt(repr(config.position_embedding_type))}: pass a model "
            "with 'absolute'"
        )
    if config.is_decoder:
        raise ValueError(f"{path}: is_decoder is true: pass an encoder")
    if architecture.width % architecture.heads:
        raise ValueError(
            f"{path}: {architecture.heads} heads do not divide a width of {architecture.width}: get the file again"
        )
    return architecture._replace(activation=_ACTIVATIONS[architecture.activation])
