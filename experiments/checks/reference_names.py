"""Maps parameter names of the public JAX release to our variables.

The release names parameters by module and order of creation, such as
'GenSpatialBlock_1/LocalConditionalBatchNorm_0/Conv_1/kernel'. The rules below translate such a path, part by part, into
attributes of our models.
"""

from __future__ import annotations

import re
from typing import Callable

import tensorflow as tf

from xmcgan.models.blocks import DiscriminatorBlock, GeneratorBlock
from xmcgan.models.discriminator import Discriminator
from xmcgan.models.generator import Generator
from xmcgan.models.modulation import SelfModulation

_CONVOLUTIONS = {"0": "conv_0", "1": "conv_1", "2": "shortcut"}
_VARIABLES = {"u0": "u", "mean": "moving_mean", "var": "moving_variance"}

# For each type of module: patterns for a part of a path, each with a function that returns our submodule, given the
# module and the index.
_RULES: dict[type, list[tuple[str, Callable]]] = {
    Generator: [
        (r"Dense_0", lambda g, _: g.sentence_projection),
        (r"Dense_1", lambda g, _: g.stem),
        (r"GenBlock_(\d+)", lambda g, i: g.sentence_blocks[int(i)]),
        (r"Conv_0", lambda g, _: g.region_projection),
        (r"GenSpatialBlock_(\d+)", lambda g, i: g.word_blocks[int(i)]),
        (r"LocalConditionalBatchNorm_0", lambda g, _: g.last_modulation),
        (r"Conv_1", lambda g, _: g.to_rgb),
    ],
    GeneratorBlock: [
        (r"(?:Local)?ConditionalBatchNorm_([01])", lambda b, i: getattr(b, f"modulation_{i}")),
        (r"Conv_([012])", lambda b, i: getattr(b, _CONVOLUTIONS[i])),
    ],
    SelfModulation: [
        (r"BatchNorm_0", lambda m, _: m.statistics),
        (r"(?:Dense|Conv)_0", lambda m, _: m.gamma),
        (r"(?:Dense|Conv)_1", lambda m, _: m.beta),
    ],
    Discriminator: [
        (r"DiscOptimizedBlock_0", lambda d, _: d.region_blocks[0]),
        (r"DiscBlock_(\d+)", lambda d, i: [*d.region_blocks[1:], *d.image_blocks][int(i)]),
        (r"SpectralConv_0", lambda d, _: d.region_projection),
        (r"SpectralDense_0", lambda d, _: d.to_logit),
        (r"SpectralDense_1", lambda d, _: d.sentence_projection),
    ],
    DiscriminatorBlock: [(r"SpectralConv_([012])", lambda b, i: getattr(b, _CONVOLUTIONS[i]))],
}


def variable(model: Generator | Discriminator, path: str) -> tf.Variable:
    """Returns our variable for a path of the reference, such as 'GenBlock_0/Conv_1/kernel'.

    Raises:
      ValueError: the models have no such variable.
    """
    module: tf.Module = model
    *modules, leaf = path.split("/")
    for part in modules:
        module = _child(module, part, path)
    name = _VARIABLES.get(leaf, leaf)
    if not isinstance(getattr(module, name, None), tf.Variable):
        raise ValueError(f"no variable of ours corresponds to '{path}' of the reference")
    return getattr(module, name)


def without_gradient(path: str) -> bool:
    """Returns whether a parameter's gradient is zero up to rounding, as a batch norm removes the bias's effect."""
    return bool(re.fullmatch(r"GenBlock_\d+/Conv_0/bias|GenSpatialBlock_\d+/Conv_\d/bias", path))


def _child(module: tf.Module, part: str, path: str) -> tf.Module:
    for kind, rules in _RULES.items():
        if not isinstance(module, kind):
            continue
        for pattern, attribute in rules:
            match = re.fullmatch(pattern, part)
            if match:
                return attribute(module, match.group(1) if match.groups() else "")
    raise ValueError(f"no module of ours corresponds to '{part}' in '{path}' of the reference")
