"""Finds the function of a SavedModel that takes images, and the images that this function expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

_SIGNATURES = ("default", "serving_default")  # TF1's Hub format, and TF2's SavedModels.


class ImageFunction(NamedTuple):
    """A function that takes one batch of images."""

    run: Callable[[tf.Tensor], Any]  # [batch, height, width, 3] -> whatever the SavedModel returns.
    dtype: tf.DType  # Type of the images.
    batch: int | None  # The batch size; None for any.


def find_image_function(module: tf.Module) -> ImageFunction | None:
    """Finds the function of a SavedModel that takes images and nothing else.

    Args:
      module: SavedModel loaded by `hub_files.load`. Its `__call__` is tried first, as in TF Hub, then its signatures.

    Returns:
      The function; one that takes any batch size is preferred. None if there is no such function.
    """
    forms = getattr(module.__call__, "concrete_functions", ()) if callable(module) else ()
    found = [_from_call(module, form) for form in forms]
    signatures = getattr(module, "signatures", {})
    found += [_from_signature(module, name) for name in _SIGNATURES if name in signatures]
    functions = [function for function in found if function is not None]
    return min(functions, key=lambda function: function.batch is not None, default=None)


def _from_call(module: tf.Module, form: Any) -> ImageFunction | None:
    """Wraps the module's `__call__`; `form` is one of the concrete functions that it chooses from."""
    specs = [spec for spec in tf.nest.flatten(form.structured_input_signature) if isinstance(spec, tf.TensorSpec)]
    return _image_function(module, specs)


def _from_signature(module: tf.Module, name: str) -> ImageFunction | None:
    """Wraps one of the module's signatures."""
    inputs = module.signatures[name].structured_input_signature[1]
    # Signatures take keyword arguments only. The call goes through the module, which keeps the variables alive.
    keyword = next(iter(inputs), "")
    return _image_function(lambda images: module.signatures[name](**{keyword: images}), list(inputs.values()))


def _image_function(run: Callable, specs: list[tf.TensorSpec]) -> ImageFunction | None:
    """Wraps `run` if its only input can be a batch of images; otherwise returns None."""
    if len(specs) != 1 or not specs[0].shape.is_compatible_with([None, None, None, 3]):
        return None
    return ImageFunction(run, specs[0].dtype, specs[0].shape[0] if specs[0].shape.rank else None)
