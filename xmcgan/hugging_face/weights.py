"""The weights of a Hugging Face BERT: reading `model.safetensors`, and the names of its tensors."""

from __future__ import annotations

import math
import os
import re
from typing import Any, NamedTuple

import msgspec
import numpy as np
import safetensors
import tensorflow as tf

from xmcgan import text_files
from xmcgan.models.bert_model import Architecture, Encoder
from xmcgan.models.hub_files import one_line

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
POOLER = "pooler.dense"
_PICKLE = "pytorch_model.bin"
# Names in older files.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class _Names(NamedTuple):
    """The names of a model's parts; '{}' is the number of the block."""

    block: str
    query: str
    key: str
    value: str
    attention: str
    attention_norm: str
    expansion: str
    contraction: str
    output_norm: str


_NAMES = {
    "bert": _Names(
        "encoder.layer.{}",
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ),
    "distilbert": _Names(
        "transformer.layer.{}",
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ),
}
MODEL_TYPES = tuple(_NAMES)


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class Weights:
    """The tensors of a folder, by name, which are read one at a time."""

    def __init__(self, folder: str | os.PathLike):
        """Opens `model.safetensors`, or the parts that `model.safetensors.index.json` lists.

        Raises:
          FileNotFoundError: there is no such file, or only one in PyTorch's format, which is never read.
          ValueError: a file is damaged.
        """
        self.folder = os.fspath(folder)
        self._tensors = {}  # Name within the model -> (open file, name in it).
        for path in self._files():
            try:
                file = safetensors.safe_open(path, framework="np")
                names = list(file.keys())
            except (OSError, safetensors.SafetensorError) as error:
                raise ValueError(f"{path} cannot be read ({one_line(error)}): get the file again") from error
            self._tensors.update({_new_name(name): (file, name) for name in names})
        self._prefix = self._find_prefix()

    def has(self, layer: str) -> bool:
        """Tells whether there are weights for a layer."""
        return f"{self._prefix}{layer}.weight" in self._tensors

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Reads a tensor as float32, whatever its type in the file.

        Args:
          name: without the prefix that the model may have.
          shape: the shape that it must have.

        Raises:
          ValueError: there is no such tensor, its shape differs, or it is not made of finite numbers.
        """
        file, stored = self._find(name, shape)
        tensor = file.get_tensor(stored).astype(np.float32)
        if not np.isfinite(tensor).all():
            raise ValueError(f"{self._described(name)} has numbers that are not finite: get the file again")
        return tensor

    def check_sizes(self, model_type: str, architecture: Architecture, vocabulary_size: int) -> None:
        """Checks by the headers of the files that they have the sizes of a config, before memory is taken for it.

        Raises:
          ValueError: a tensor is missing, or its shape differs.
        """
        width, names = architecture.width, _NAMES[model_type]
        self._find("embeddings.word_embeddings.weight", (vocabulary_size, width))
        self._find("embeddings.position_embeddings.weight", (architecture.positions, width))
        if model_type != "distilbert":
            self._find("embeddings.token_type_embeddings.weight", (architecture.types, width))
        for number in range(architecture.layers):
            shape = (architecture.hidden_width or 4 * width, width)
            self._find(f"{names.block.format(number)}.{names.expansion}.weight", shape)

    def _find(self, name: str, shape: tuple[int, ...]) -> tuple[Any, str]:
        """Returns the file of a tensor, and its name there."""
        if self._prefix + name not in self._tensors:
            raise ValueError(
                f"{self._described(name)} is missing: pass a complete model of the type that its config.json names"
            )
        file, stored = self._tensors[self._prefix + name]
        found = tuple(file.get_slice(stored).get_shape())
        if found != shape:
            raise ValueError(
                f"{self._described(name)} is {list(found)}, but config.json says {list(shape)}: get both again"
            )
        return file, stored

    def _described(self, name: str) -> str:
        return f"{self.folder}: the tensor {self._prefix}{name}"

    def _files(self) -> list[str]:
        single, index = (os.path.join(self.folder, name) for name in (FILE, INDEX))
        if os.path.exists(single):
            return [single]
        if os.path.exists(index):
            listed: _Index = text_files.read_json(index, _Index)
            parts = {os.path.basename(part) for part in listed.weight_map.values()}
            return [os.path.join(self.folder, part) for part in sorted(parts)]
        if os.path.exists(os.path.join(self.folder, _PICKLE)):
            raise FileNotFoundError(
                f"{self.folder} has only {_PICKLE}, a pickle, which could run any code and is never read: convert it, "
                'where transformers and torch are installed, with python -c "from transformers import AutoModel as M; '
                f"M.from_pretrained('{self.folder}').save_pretrained('{self.folder}')\""
            )
        raise FileNotFoundError(f"{self.folder} has no {FILE}: pass the folder of a Hugging Face model")

    def _find_prefix(self) -> str:
        """Returns what comes before the names of the encoder, such as 'bert.' in a model with an output layer."""
        anchor = "embeddings.word_embeddings.weight"
        found = [name.removesuffix(anchor) for name in self._tensors if name.endswith(anchor)]
        if len(found) != 1:
            raise ValueError(f"{self.folder}: {FILE} has {len(found)} tensors named {anchor}, not one: pass a BERT")
        return found[0]


def assign(encoder: Encoder, weights: Weights, model_type: str) -> None:
    """Assigns stored weights to all variables of an encoder; a model without token types gets zeros for them.

    Args:
      encoder: has the architecture of the stored model.
      weights: of the stored model.
      model_type: one of MODEL_TYPES.

    Raises:
      ValueError: a tensor is missing or does not fit, see `Weights.read`.
    """
    _assign_layer(encoder.token_embedding, "embeddings.word_embeddings", weights)
    _assign_layer(encoder.position_embedding, "embeddings.position_embeddings", weights)
    if model_type == "distilbert":
        encoder.type_embedding.embeddings.assign(tf.zeros_like(encoder.type_embedding.embeddings))
    else:
        _assign_layer(encoder.type_embedding, "embeddings.token_type_embeddings", weights)
    _assign_layer(encoder.embedding_norm, "embeddings.LayerNorm", weights)
    names = _NAMES[model_type]
    for number, attention in enumerate(encoder.attentions):
        block = names.block.format(number)
        _assign_layer(attention._query_dense, f"{block}.{names.query}", weights, 1)  # Keras has no public names.
        _assign_layer(attention._key_dense, f"{block}.{names.key}", weights, 1)
        _assign_layer(attention._value_dense, f"{block}.{names.value}", weights, 1)
        _assign_layer(attention._output_dense, f"{block}.{names.attention}", weights, 2)
        _assign_layer(encoder.attention_norms[number], f"{block}.{names.attention_norm}", weights)
        _assign_layer(encoder.expansions[number], f"{block}.{names.expansion}", weights, 1)
        _assign_layer(encoder.contractions[number], f"{block}.{names.contraction}", weights, 1)
        _assign_layer(encoder.output_norms[number], f"{block}.{names.output_norm}", weights)
    if encoder.pooler:
        _assign_layer(encoder.pooler, POOLER, weights, 1)


def _assign_layer(layer: tf.keras.layers.Layer, name: str, weights: Weights, input_axes: int = 0) -> None:
    """Assigns the weights of a layer.

    Args:
      layer: to assign to.
      name: of the layer in the stored model.
      weights: of the stored model.
      input_axes: number of axes of a kernel that are inputs; PyTorch stores kernels as [outputs, inputs], and Keras'
        attention as [inputs, heads, width of a head] or [heads, width of a head, outputs]. 0 for other layers.
    """
    weight, *biases = layer.variables
    shape = tuple(weight.shape)
    if input_axes:
        inputs, outputs = math.prod(shape[:input_axes]), math.prod(shape[input_axes:])
        weight.assign(weights.read(f"{name}.weight", (outputs, inputs)).T.reshape(shape))
    else:
        weight.assign(weights.read(f"{name}.weight", shape))
    for bias in biases:
        bias.assign(weights.read(f"{name}.bias", (math.prod(bias.shape),)).reshape(bias.shape))


def _new_name(name: str) -> str:
    return re.sub("|".join(map(re.escape, _OLD_NAMES)), lambda match: _OLD_NAMES[match[0]], name)
